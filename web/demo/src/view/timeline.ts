import { html, nothing, type TemplateResult } from 'lit/html.js'
import { repeat } from 'lit/directives/repeat.js'
import { activity as activityIcon } from '../icons'
import { linkTo } from '../links'
import type { Activity } from '../model'
import { portrait } from '../portrait'
import { activityKey } from '../state'
import { clock, dayName, fullDay, parseDate, startOfDay } from '../time'
import type { View } from './view'

/** The object type of tasks. */
const taskType = 4

interface Day {
  key: number
  date: Date | undefined
  activities: Entry[]
}

interface Entry {
  activity: Activity
  date: Date | undefined
}

/** The company's activities, newest first, under the names of their days. */
export function timeline(view: View): TemplateResult {
  const { state, strings } = view
  const { items, status } = state.activities
  if (items.length === 0 && status === 'ready') {
    return html`<div class="empty card">
      <span class="empty-icon">${activityIcon}</span>
      <p class="empty-title">${strings.noActivity}</p>
      <p>${strings.noActivityHint}</p>
    </div>`
  }
  const zone = state.config?.zone ?? 'UTC'
  return html`
    <div id="timeline" class="timeline">
      ${repeat(byDay(items, zone), (day) => day.key, (day) => dayGroup(view, day))}
    </div>
    ${footer(view)}`
}

/** Groups by the reader's calendar day; days in order of their newest entry. */
function byDay(activities: readonly Activity[], zone: string): Day[] {
  const days = new Map<number, Day>()
  for (const activity of activities) {
    const date = parseDate(activity.date, zone)
    const key = date ? startOfDay(date) : 0
    const day = days.get(key) ?? { key, date, activities: [] }
    day.activities.push({ activity, date })
    days.set(key, day)
  }
  return [...days.values()].sort((a, b) => b.key - a.key)
}

function dayGroup(view: View, day: Day): TemplateResult {
  const { state, strings } = view
  const name = day.date && dayName(day.date, state.now, strings.tag)
  const full = day.date && fullDay(day.date, state.now, strings.tag)
  return html`<section class="day">
    <h2 class="day-label">${name ?? full ?? strings.undated}${name && full ? html`<span>${full}</span>` : nothing}</h2>
    <ol class="entries">
      ${repeat(day.activities, ({ activity }) => activityKey(activity), (entry) => entryItem(view, entry))}
    </ol>
  </section>`
}

/** Where the links of a task's messages lead: to its newest entry here. */
function anchorOf({ objectType, objectID }: Activity): string | typeof nothing {
  return objectType === taskType && objectID ? `task-${objectID}` : nothing
}

function entryItem({ state, strings }: View, { activity, date }: Entry): TemplateResult {
  return html`<li id=${anchorOf(activity)} class="entry ${state.fresh.has(activity.activityID) ? 'is-fresh' : ''}">
    <div class="entry-clip"><article class="entry-body">
      ${portrait(activity.operatorID, activity.operator, activity.portrait)}
      <div class="entry-text">
        <p class="entry-line">
          <strong class="entry-who">${activity.operator}</strong>
          <span class="entry-title">${activity.title}</span>
          ${date ? html`<time datetime=${date.toISOString()} title=${date.toLocaleString(strings.tag)}>${clock(date, strings.tag)}</time>` : nothing}
        </p>
        ${activity.content ? entryContent(activity) : nothing}
      </div>
    </article></div>
  </li>`
}

function entryContent({ url, content }: Activity): TemplateResult {
  const link = linkTo(url)
  if (link === undefined) return html`<p class="entry-content">${content}</p>`
  const { href, away } = link
  return html`<a class="entry-content" href=${href} target=${away ? '_blank' : nothing} rel=${away ? 'noopener noreferrer' : nothing}>${content}</a>`
}

function footer({ state, strings, actions }: View): TemplateResult | typeof nothing {
  const { status, next } = state.activities
  if (status === 'loading') return html`<p class="list-foot" role="status">${strings.loading}</p>`
  if (status === 'failed') {
    return html`<p class="list-foot">${strings.loadFailed}
      <button class="button-quiet" @click=${() => actions.moreActivities()}>${strings.retry}</button></p>`
  }
  if (next === undefined) return nothing
  return html`<p class="list-foot"><button class="button-quiet" @click=${() => actions.moreActivities()}>${strings.older}</button></p>`
}
