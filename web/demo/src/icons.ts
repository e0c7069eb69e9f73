import { svg, type TemplateResult } from 'lit/html.js'

const bellShape =
  'M12 3a6 6 0 0 0-6 6v3.6c0 .5-.2 1-.5 1.4L4.2 15.7a1 1 0 0 0 .8 1.6h14a1 1 0 0 0 .8-1.6l-1.3-1.7a2.3 2.3 0 0 1-.5-1.4V9a6 6 0 0 0-6-6Z'

function icon(content: unknown): TemplateResult {
  return svg`<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">${content}</svg>`
}

export const bell = icon(svg`<path d=${bellShape}/><path d="M9.8 20.3a2.5 2.5 0 0 0 4.4 0"/>`)
export const check = icon(svg`<path d="m5 12.5 4.5 4.5L19 7.5"/>`)
export const checkAll = icon(svg`<path d="m2.5 12.5 4.5 4.5 8.5-9.5"/><path d="m12 16.5.5.5L21.5 7.5"/>`)
export const clock = icon(svg`<circle cx="12" cy="12" r="8.5"/><path d="M12 7v5l3.2 2"/>`)
export const alert = icon(svg`<path d="M12 8v4.5M12 16h.01"/><circle cx="12" cy="12" r="8.5"/>`)
export const cross = icon(svg`<path d="M6.5 6.5l11 11M17.5 6.5l-11 11"/>`)
export const plus = icon(svg`<path d="M12 5.5v13M5.5 12h13"/>`)
export const newWindow = icon(svg`<path d="M13.5 4.5h6v6M19.5 4.5l-8 8M18 14v4a1.5 1.5 0 0 1-1.5 1.5H6A1.5 1.5 0 0 1 4.5 18V7.5A1.5 1.5 0 0 1 6 6h4"/>`)
export const activity = icon(svg`<path d="M3.5 12h4l2.5-6.5 4 13 2.5-6.5h4"/>`)

/** The page's icon in the browser's tab; with a dot where something is unread. */
export function favicon(unread: boolean): string {
  const dot = unread ? '<circle cx="18" cy="6" r="5" fill="#e5484d"/>' : ''
  return 'data:image/svg+xml,' + encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">' +
    `<path d="${bellShape}" fill="#3b63d9"/><path d="M9.5 19h5a2.5 2.5 0 0 1-5 0Z" fill="#3b63d9"/>${dot}</svg>`)
}
