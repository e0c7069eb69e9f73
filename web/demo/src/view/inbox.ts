import { html, nothing, type TemplateResult } from 'lit/html.js'
import { repeat } from 'lit/directives/repeat.js'
import { bell, checkAll } from '../icons'
import { linkTo } from '../links'
import { messageTypes, type Message } from '../model'
import { portrait } from '../portrait'
import { messageKey } from '../state'
import { parseDate, relative } from '../time'
import type { View } from './view'

/** The list that the bell opens. */
export function inbox(view: View): TemplateResult {
  const { state, strings, actions } = view
  const { messages, filter } = state
  const shown = filter === 0 ? messages.items : messages.items.filter((message) => message.typeID === filter)
  return html`<div id="inbox" class="inbox" role="region" aria-labelledby="inbox-title" ?hidden=${!state.bellOpen}>
    <div class="inbox-head">
      <h2 id="inbox-title">${strings.messages}</h2>
      <button id="read-all" class="button-quiet" ?disabled=${state.counts.unread === 0} @click=${() => actions.readAll()}>
        ${checkAll}<span>${strings.markAllRead}</span>
      </button>
    </div>
    <div class="filters" role="group" aria-label=${strings.messages}>
      ${[0, ...messageTypes].map((type) => filterButton(view, type))}
    </div>
    ${shown.length > 0
      ? html`<ol id="messages" class="messages">${repeat(shown, messageKey, (message) => row(view, message))}</ol>`
      : messages.status === 'ready' ? empty(view) : nothing}
    ${footer(view)}
  </div>`
}

function filterButton({ state, strings, actions }: View, type: number): TemplateResult {
  const count = type === 0 ? state.counts.unread : (state.counts.byType[type] ?? 0)
  return html`<button class="filter" aria-pressed=${state.filter === type} @click=${() => actions.filterBy(type)}>
    ${type === 0 ? strings.allTypes : strings.types[type]}
    ${count > 0 ? html`<span class="filter-count">${count}</span>` : nothing}
  </button>`
}

function row(view: View, message: Message): TemplateResult {
  const { state, actions } = view
  const link = linkTo(message.url)
  const classes = `message ${message.isRead ? '' : 'is-unread'} ${state.fresh.has(message.messageID) ? 'is-fresh' : ''}`
  if (link === undefined) {
    return html`<li class=${classes}>
      <button class="message-row" @click=${() => actions.read(message)}>${rowContent(view, message)}</button>
    </li>`
  }
  const { href, away } = link
  return html`<li class=${classes}>
    <a class="message-row" href=${href} target=${away ? '_blank' : nothing} rel=${away ? 'noopener noreferrer' : nothing}
      @click=${() => { actions.read(message); if (!away) actions.openBell(false) }}>
      ${rowContent(view, message)}
    </a>
  </li>`
}

function rowContent({ state, strings }: View, message: Message): TemplateResult {
  const date = parseDate(message.date, state.config?.zone ?? 'UTC')
  return html`
    ${portrait(message.senderID, message.sender, message.portrait)}
    <span class="message-text">
      <span class="message-title">${message.title}</span>
      ${message.content ? html`<span class="message-content">${message.content}</span>` : nothing}
      <span class="message-meta">
        ${message.sender ? html`<span>${message.sender}</span>` : nothing}
        ${date
          ? html`<time datetime=${date.toISOString()} title=${date.toLocaleString(strings.tag)}>${relative(date, state.now, strings.tag, strings.justNow)}</time>`
          : nothing}
      </span>
    </span>
    ${message.isRead ? nothing : html`<span class="dot"><span class="hidden">${strings.isUnread}</span></span>`}`
}

function empty({ state, strings }: View): TemplateResult {
  const none = state.filter === 0 && state.messages.items.length === 0
  return html`<div class="empty">
    <span class="empty-icon">${bell}</span>
    <p class="empty-title">${none ? strings.noMessages : strings.noneOfType}</p>
    <p>${none ? strings.noMessagesHint : strings.noneOfTypeHint}</p>
  </div>`
}

function footer({ state, strings, actions }: View): TemplateResult | typeof nothing {
  const { status, next } = state.messages
  if (status === 'loading') return html`<p class="list-foot" role="status">${strings.loading}</p>`
  if (status === 'failed') {
    return html`<p class="list-foot">${strings.loadFailed}
      <button class="button-quiet" @click=${() => actions.moreMessages()}>${strings.retry}</button></p>`
  }
  if (next === undefined) return nothing
  return html`<p class="list-foot"><button class="button-quiet" @click=${() => actions.moreMessages()}>${strings.older}</button></p>`
}
