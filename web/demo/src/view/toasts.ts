import { html, type TemplateResult } from 'lit/html.js'
import { repeat } from 'lit/directives/repeat.js'
import { alert, bell, check, clock, cross } from '../icons'
import type { View } from './view'

const icons = { success: check, waiting: clock, error: alert, info: bell }

/** Short news about what the reader did, read out by screen readers. */
export function toasts({ state, strings, actions }: View): TemplateResult {
  return html`<div id="toasts" class="toasts" role="status" aria-live="polite">
    ${repeat(state.toasts, (toast) => toast.id, (toast) => html`<div class="toast toast-${toast.kind}">
      ${icons[toast.kind]}
      <p>${toast.text}</p>
      <button class="icon-button" aria-label=${strings.dismiss} @click=${() => actions.dismiss(toast.id)}>${cross}</button>
    </div>`)}
  </div>`
}
