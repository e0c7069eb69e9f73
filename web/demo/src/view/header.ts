import { html, nothing, type TemplateResult } from 'lit/html.js'
import { bell } from '../icons'
import { pageOf } from '../links'
import { portrait } from '../portrait'
import { inbox } from './inbox'
import { companyName, type View } from './view'

export function header(view: View): TemplateResult {
  const { state, strings } = view
  const me = state.me
  if (!me) return html``
  return html`<header class="top">
    <div class="top-inner">
      <div class="brand">
        <span class="brand-mark">${bell}</span>
        <span class="brand-name">${companyName(state, me, strings)}</span>
        <span class="brand-kind">${strings.workspace}</span>
      </div>
      ${presence(view)}
      ${bellButton(view)}
      <a class="me" href=${pageOf()} title=${strings.switchUser}>
        ${portrait(me.uid, me.name)}
        <span class="me-name">${me.name}</span>
        <span class="hidden">${strings.switchUser}</span>
      </a>
    </div>
  </header>`
}

/** How many people are online, or why that is not known. */
function presence({ state, strings }: View): TemplateResult {
  const { connection, online } = state
  const connected = connection === 'connected' && online !== undefined
  const text = connected
    ? strings.online(online)
    : connection === 'connecting' ? strings.connecting : strings.reconnecting
  return html`<p id="presence" class="presence presence-${connection}" role="status">
    <span class="presence-dot" aria-hidden="true"></span>
    ${connected ? html`<span class="presence-short" aria-hidden="true">${online}</span>` : nothing}
    <span class="presence-text">${text}</span>
  </p>`
}

function bellButton(view: View): TemplateResult {
  const { state, strings, actions } = view
  const { unread, unseen } = state.counts
  return html`<div class="bell" @keydown=${closeOnEscape} @focusout=${closeOnLeaving}>
    <button id="bell" class="bell-button ${unseen > 0 ? 'is-ringing' : ''}"
      aria-expanded=${state.bellOpen} aria-controls="inbox"
      aria-label="${strings.messages}: ${strings.unread(unread)}"
      @click=${() => actions.openBell(!state.bellOpen)}>
      ${bell}
      ${unread > 0
        ? html`<span id="badge" class="badge ${unseen > 0 ? '' : 'is-seen'}" aria-hidden="true">${unread > 99 ? '99+' : unread}</span>`
        : nothing}
    </button>
    <span class="hidden" role="status">${state.connection === 'connected' ? strings.unread(unread) : ''}</span>
    ${inbox(view)}
  </div>`

  function closeOnEscape(event: KeyboardEvent): void {
    if (event.key !== 'Escape' || !state.bellOpen) return
    event.stopPropagation()
    actions.openBell(false)
    document.getElementById('bell')?.focus()
  }

  function closeOnLeaving(event: FocusEvent): void {
    const bell = event.currentTarget as HTMLElement
    // Without a related target the focus went nowhere, such as to a click on
    // plain text inside the list; a click outside is seen by the document.
    if (event.relatedTarget instanceof Node && !bell.contains(event.relatedTarget)) actions.openBell(false)
  }
}
