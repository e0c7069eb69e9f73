import { html, nothing, type TemplateResult } from 'lit/html.js'
import { bell } from '../icons'
import { pageOf } from '../links'
import { portrait } from '../portrait'
import { companyName, type View } from './view'

/** Asks who is reading, where the address does not say. */
export function chooser({ state, strings }: View): TemplateResult {
  const { config } = state
  if (!config) return html``
  return html`<main class="chooser">
    <span class="brand-mark">${bell}</span>
    <h1>${strings.whoAreYou}</h1>
    ${state.unknownUser === undefined ? nothing : html`<p class="chooser-error" role="alert">${strings.unknownUser(state.unknownUser)}</p>`}
    <p class="chooser-hint">${strings.chooseHint}</p>
    <ul class="chooser-people">
      ${config.users.map((user) => html`<li>
        <a href=${pageOf(user.uid)}>
          ${portrait(user.uid, user.name)}
          <span>${user.name}</span>
          <small>${companyName(state, user, strings)}</small>
        </a>
      </li>`)}
    </ul>
    <a class="chooser-language" href="?lang=${strings.otherLanguage.tag}" lang=${strings.otherLanguage.tag}>${strings.otherLanguage.name}</a>
  </main>`
}
