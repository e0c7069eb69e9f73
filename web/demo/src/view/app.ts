import { html, nothing, type TemplateResult } from 'lit/html.js'
import { chooser } from './chooser'
import { header } from './header'
import { people } from './people'
import { taskForm } from './taskform'
import { timeline } from './timeline'
import { toasts } from './toasts'
import { companyName, type View } from './view'

/** The whole page. */
export function app(view: View): TemplateResult {
  const { state, strings } = view
  if (state.bootFailed) return notice(strings.loadFailed, strings.retry)
  if (!state.config) return html`<p class="boot" role="status">${strings.loading}</p>`
  if (!state.me) return chooser(view)
  return html`
    ${header(view)}
    ${banner(view)}
    <main class="page">
      <section class="main" aria-labelledby="activity-title">
        <header class="section-head">
          <h1 id="activity-title">${strings.activity}</h1>
          <p>${strings.activityHint(companyName(state, state.me, strings))}</p>
        </header>
        ${timeline(view)}
      </section>
      <aside class="side">
        ${taskForm(view)}
        ${people(view)}
      </aside>
    </main>
    ${toasts(view)}`
}

/** Says what is wrong with the connection, where something is. */
function banner({ state, strings, actions }: View): TemplateResult | typeof nothing {
  if (state.connection === 'refused') {
    return html`<div class="banner banner-refused" role="alert">
      <span>${strings.refused(state.refusal)}</span>
      <button class="button-quiet" @click=${() => actions.reconnect()}>${strings.retry}</button>
    </div>`
  }
  if (state.connection === 'reconnecting') {
    return html`<div class="banner" role="status">${strings.reconnectingLong}</div>`
  }
  return nothing
}

function notice(text: string, retry: string): TemplateResult {
  return html`<div class="boot" role="alert">
    <p>${text}</p>
    <button class="button" @click=${() => location.reload()}>${retry}</button>
  </div>`
}
