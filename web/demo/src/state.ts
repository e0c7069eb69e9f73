import { noCounts, type Activity, type Config, type Counts, type Message, type User } from './model'

export type Connection = 'connecting' | 'connected' | 'reconnecting' | 'refused'

/** One list that is loaded page by page, newest first. */
export interface List<T> {
  status: 'loading' | 'ready' | 'failed'
  items: readonly T[]
  /** Where the next older page starts; absent at the end. */
  next?: string
}

export interface Toast {
  id: number
  kind: 'success' | 'waiting' | 'error' | 'info'
  text: string
}

/** Everything the page shows. It is never changed in place. */
export interface State {
  config?: Config
  me?: User
  unknownUser?: string
  bootFailed: boolean

  connection: Connection
  refusal: string
  online?: number
  counts: Counts
  messages: List<Message>
  activities: List<Activity>
  /** Ids that came in a moment ago and are still being pointed out. */
  fresh: ReadonlySet<string>

  bellOpen: boolean
  filter: number
  creating: boolean
  nameMissing: boolean
  toasts: readonly Toast[]
  now: Date
}

export const initialState: State = {
  bootFailed: false,
  connection: 'connecting',
  refusal: '',
  counts: noCounts,
  messages: { status: 'loading', items: [] },
  activities: { status: 'loading', items: [] },
  fresh: new Set(),
  bellOpen: false,
  filter: 0,
  creating: false,
  nameMissing: false,
  toasts: [],
  now: new Date(),
}

/** Holds the state and tells one listener of changes, once per turn. */
export class Store {
  #state = initialState
  #scheduled = false

  constructor(private readonly changed: (state: State) => void) {}

  get state(): State {
    return this.#state
  }

  set(change: Partial<State> | ((state: State) => Partial<State>)): void {
    this.#state = { ...this.#state, ...(typeof change === 'function' ? change(this.#state) : change) }
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.changed(this.#state)
    })
  }
}

type Key<T> = (item: T) => string

/**
 * Merges items into a list, newest first; an id that is there already is
 * replaced. Ids grow in the order in which items are shown.
 */
export function merged<T>(list: readonly T[], more: readonly T[], key: Key<T>): T[] {
  const byID = new Map(list.map((item) => [key(item), item]))
  for (const item of more) byID.set(key(item), item)
  return [...byID.entries()].sort(([a], [b]) => (a < b ? 1 : a > b ? -1 : 0)).map(([, item]) => item)
}

/**
 * Puts the newest page in place of a list. What came in live meanwhile is
 * kept; what is older than the page is dropped, because there may be a gap.
 */
export function firstPage<T>(list: List<T>, page: readonly T[], next: string | undefined, key: Key<T>): List<T> {
  const last = page.at(-1)
  const oldest = last === undefined ? '' : key(last)
  return ready(merged(list.items.filter((item) => key(item) > oldest), page, key), next)
}

export function olderPage<T>(list: List<T>, page: readonly T[], next: string | undefined, key: Key<T>): List<T> {
  return ready(merged(list.items, page, key), next)
}

function ready<T>(items: T[], next: string | undefined): List<T> {
  return next === undefined ? { status: 'ready', items } : { status: 'ready', items, next }
}

export const messageKey: Key<Message> = (message) => message.messageID
export const activityKey: Key<Activity> = (activity) => activity.activityID

/** The counts after one more unread message, until the server says better. */
export function oneMore(counts: Counts, typeID: number): Counts {
  return {
    ...counts,
    unread: counts.unread + 1,
    unseen: counts.unseen + 1,
    byType: { ...counts.byType, [typeID]: (counts.byType[typeID] ?? 0) + 1 },
  }
}

/** The counts after one was read, until the server says better. */
export function oneLess(counts: Counts, typeID: number): Counts {
  return {
    ...counts,
    unread: Math.max(0, counts.unread - 1),
    byType: { ...counts.byType, [typeID]: Math.max(0, (counts.byType[typeID] ?? 0) - 1) },
  }
}
