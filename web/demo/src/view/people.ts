import { html, type TemplateResult } from 'lit/html.js'
import { newWindow } from '../icons'
import { pageOf } from '../links'
import type { User } from '../model'
import { portrait } from '../portrait'
import { companyName, type View } from './view'

/** Links that open a second window as somebody else. */
export function people(view: View): TemplateResult {
  const { state, strings } = view
  const { me, config } = state
  if (!me || !config) return html``
  return html`<section class="card people" aria-labelledby="people-title">
    <h2 id="people-title">${strings.others}</h2>
    <p class="card-hint">${strings.othersHint}</p>
    <ul>${config.users.map((user) => (user.uid === me.uid ? current(view, user) : other(view, user, me)))}</ul>
  </section>`
}

function current({ strings }: View, user: User): TemplateResult {
  return html`<li class="person is-current">
    ${portrait(user.uid, user.name)}
    <span class="person-name">${user.name}<small>${strings.thisPage}</small></span>
  </li>`
}

function other({ state, strings }: View, user: User, me: User): TemplateResult {
  const foreign = user.companyID !== me.companyID
  const place = companyName(state, user, strings)
  return html`<li>
    <a class="person" href=${pageOf(user.uid)} target="_blank" rel="noopener" aria-label=${strings.openAs(user.name)}>
      ${portrait(user.uid, user.name)}
      <span class="person-name">${user.name}<small>${foreign ? `${place} · ${strings.otherCompanyHint}` : place}</small></span>
      ${newWindow}
    </a>
  </li>`
}
