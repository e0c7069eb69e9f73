import { html, nothing, svg, type TemplateResult } from 'lit/html.js'
import { safeImage } from './links'

/** Hues that keep white letters readable, far enough apart to tell people. */
const hues = [212, 340, 168, 28, 262, 152, 18, 322, 190]

function hue(id: string): number {
  let hash = 0
  for (const char of id) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0
  return hues[hash % hues.length] ?? 212
}

/** "LM" for Lin Mei; the last two characters of a Chinese name. */
function initials(name: string): string {
  const letters = [...name.trim()]
  if (letters.some((letter) => /\p{Script=Han}/u.test(letter))) {
    return letters.filter((letter) => /\p{Letter}/u.test(letter)).slice(-2).join('')
  }
  const words = name.trim().split(/\s+/).filter(Boolean)
  const chosen = words.length > 1 ? [words[0], words.at(-1)] : words
  return chosen.map((word) => [...(word ?? '')][0] ?? '').join('').toLocaleUpperCase()
}

/**
 * A person's picture. It is drawn from the name; a portrait that the
 * application sent lies on top and vanishes where it cannot be loaded.
 */
export function portrait(id: string, name: string, picture = ''): TemplateResult {
  const image = safeImage(picture)
  const h = hue(id || name)
  return html`<span class="portrait" aria-hidden="true">
    ${svg`<svg viewBox="0 0 40 40">
      <rect width="40" height="40" fill="hsl(${h} 48% 46%)"/>
      <path d="M0 40 40 0v40z" fill="hsl(${h} 52% 40%)"/>
      <text x="20" y="20" dy=".35em" text-anchor="middle">${initials(name) || '·'}</text>
    </svg>`}
    ${image === undefined
      ? nothing
      : html`<img src=${image} alt="" referrerpolicy="no-referrer" @error=${hide} @load=${show}>`}
  </span>`
}

function hide(event: Event): void {
  ;(event.target as HTMLElement).hidden = true
}

function show(event: Event): void {
  ;(event.target as HTMLElement).hidden = false
}
