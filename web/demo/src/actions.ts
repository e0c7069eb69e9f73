import { createTask, Gateway, loadConfig, type NewTask } from './gateway'
import { toActivities, toCounts, toMessages, type Activity, type Counts, type Message, type User } from './model'
import {
  activityKey, firstPage, merged, messageKey, olderPage, oneLess, oneMore, type Store, type Toast,
} from './state'
import type { Strings } from './strings'

const pageSize = 20

/** How long something new is pointed out, in milliseconds. */
const freshFor = 3_000

/** How long a toast stays, in milliseconds. */
const toastFor = 7_000

/** Whatever the reader or the server can make happen on the page. */
export class Actions {
  #gateway: Gateway | undefined
  /** Messages that came before the login was answered: the replay. */
  #replayed = 0
  #welcomed = false
  #toastID = 0

  constructor(
    private readonly store: Store,
    private readonly strings: Strings,
  ) {}

  /** Finds out who is reading, and connects as that user. */
  async start(uid: string | null): Promise<void> {
    this.store.set({ bootFailed: false })
    try {
      const config = await loadConfig()
      const me = config.users.find((user) => user.uid === uid)
      if (me) {
        this.store.set({ config, me })
        this.#connect(me)
      } else {
        this.store.set({ config, ...(uid ? { unknownUser: uid } : {}) })
      }
    } catch {
      this.store.set({ bootFailed: true })
    }
  }

  reconnect(): void {
    this.store.set({ connection: 'reconnecting' })
    this.#gateway?.reconnect()
  }

  #connect(me: User): void {
    this.#gateway = new Gateway(me.token, {
      welcome: (online, counts) => this.#welcome(online, counts),
      refused: (refusal) => this.store.set({ connection: 'refused', refusal }),
      lost: () => {
        this.#welcomed = false
        this.store.set({ connection: 'reconnecting' })
      },
      message: (message, counts) => this.#arrived(message, counts),
      text: (content) => {
        this.#toast('info', content)
        void this.#loadMessages()
      },
      activity: (activity) => this.#happened(activity),
      online: (online) => this.store.set({ online }),
      counts: (counts) => this.#counted(counts),
    })
  }

  #welcome(online: number, counts: Counts): void {
    // Only a new login may set older counts: the server may have lost its data.
    this.store.set({ connection: 'connected', online, counts })
    this.#welcomed = true
    if (this.#replayed > 0) this.#toast('info', this.strings.whileAway(this.#replayed))
    this.#replayed = 0
    void this.#loadMessages()
    void this.#loadActivities()
  }

  #arrived(message: Message, after: Counts | undefined): void {
    const known = this.store.state.messages.items.some((item) => item.messageID === message.messageID)
    if (message.messageID === '') {
      // Not stored: it has no place in the inbox.
      this.#toast('info', [message.title, message.content].filter(Boolean).join(': '))
      return
    }
    this.store.set(({ messages, counts }) => ({
      messages: { ...messages, items: merged(messages.items, [message], messageKey) },
      counts: after || known || message.isRead ? counts : oneMore(counts, message.typeID),
    }))
    // Those of the login may include a message that was stored before it and comes after it.
    if (after) this.#counted(after)
    if (known) return
    if (!this.#welcomed) this.#replayed++
    this.#pointOut(message.messageID)
    if (this.store.state.bellOpen) this.#seen()
  }

  #happened(activity: Activity): void {
    this.store.set(({ activities }) => ({
      activities: { ...activities, items: merged(activities.items, [activity], activityKey) },
    }))
    this.#pointOut(activity.activityID)
  }

  /** Takes over counts unless they are older than what is shown. */
  #counted(counts: Counts): void {
    const shown = this.store.state.counts
    if (counts.version < shown.version) return
    this.store.set(({ messages }) => ({
      counts,
      messages: counts.unread === 0 ? { ...messages, items: messages.items.map(asRead) } : messages,
    }))
    // Something was read on another page: which one, only the list can tell.
    if (counts.unread !== 0 && counts.unread < shown.unread) void this.#loadMessages()
  }

  #pointOut(id: string): void {
    this.store.set(({ fresh }) => ({ fresh: new Set(fresh).add(id) }))
    setTimeout(() => {
      this.store.set(({ fresh }) => ({ fresh: new Set([...fresh].filter((other) => other !== id)) }))
    }, freshFor)
  }

  async #ask(event: string, argument?: Record<string, unknown>): Promise<Record<string, unknown>> {
    if (!this.#gateway) throw new Error('not connected')
    return this.#gateway.ask(event, argument)
  }

  async #loadMessages(before?: string): Promise<void> {
    try {
      const answer = await this.#ask('messages', { limit: pageSize, ...(before ? { before } : {}) })
      const page = before ? olderPage : firstPage
      this.store.set(({ messages }) => ({
        messages: page(messages, toMessages(answer['messages']), nextOf(answer), messageKey),
      }))
    } catch {
      this.store.set(({ messages }) => ({ messages: { ...messages, status: 'failed' } }))
    }
  }

  async #loadActivities(before?: string): Promise<void> {
    try {
      const answer = await this.#ask('dynamics', { limit: pageSize, ...(before ? { before } : {}) })
      const page = before ? olderPage : firstPage
      this.store.set(({ activities }) => ({
        activities: page(activities, toActivities(answer['activities']), nextOf(answer), activityKey),
      }))
    } catch {
      this.store.set(({ activities }) => ({ activities: { ...activities, status: 'failed' } }))
    }
  }

  /** Loads the next older page, or tries the first one again after a failure. */
  moreMessages(): void {
    this.store.set(({ messages }) => ({ messages: { ...messages, status: 'loading' } }))
    void this.#loadMessages(this.store.state.messages.next)
  }

  moreActivities(): void {
    this.store.set(({ activities }) => ({ activities: { ...activities, status: 'loading' } }))
    void this.#loadActivities(this.store.state.activities.next)
  }

  openBell(open: boolean): void {
    this.store.set({ bellOpen: open })
    if (open) this.#seen()
  }

  filterBy(type: number): void {
    this.store.set({ filter: type })
  }

  #seen(): void {
    const last = this.store.state.messages.items[0]?.messageID
    if (last && this.store.state.counts.unseen > 0) void this.#change('seen', { last })
  }

  read(message: Message): void {
    if (message.isRead) return
    this.store.set(({ messages, counts }) => ({
      messages: {
        ...messages,
        items: messages.items.map((item) => (item.messageID === message.messageID ? asRead(item) : item)),
      },
      counts: oneLess(counts, message.typeID),
    }))
    void this.#change('read', { ids: [message.messageID] })
  }

  readAll(): void {
    void this.#change('read_all', {})
  }

  /** Asks for a change of the inbox and shows the counts after it. */
  async #change(event: string, argument: Record<string, unknown>): Promise<void> {
    try {
      const counts = toCounts((await this.#ask(event, argument))['counts'])
      if (counts) this.#counted(counts)
    } catch {
      void this.#loadMessages()
    }
  }

  /** Creates a task as a backend would, and says what became of its pushes. */
  async createTask(task: NewTask, assignee: User): Promise<boolean> {
    this.store.set({ creating: true, nameMissing: false })
    try {
      const outcome = await createTask(task)
      this.#report(outcome.message, assignee)
      if (outcome.activity === 'fail') this.#toast('error', this.strings.activityFailed)
      return true
    } catch {
      this.#toast('error', this.strings.createFailed)
      return false
    } finally {
      this.store.set({ creating: false })
    }
  }

  nameMissing(missing: boolean): void {
    this.store.set({ nameMissing: missing })
  }

  #report(outcome: string, assignee: User): void {
    const { strings } = this
    const mine = assignee.uid === this.store.state.me?.uid
    if (outcome === 'ok') {
      this.#toast('success', mine ? strings.deliveredToMe : strings.deliveredTo(assignee.name))
    } else if (outcome === 'offline') {
      this.#toast('waiting', strings.waitsFor(assignee.name))
    } else {
      this.#toast('error', strings.pushFailed)
    }
  }

  #toast(kind: Toast['kind'], text: string): void {
    const id = ++this.#toastID
    this.store.set(({ toasts }) => ({ toasts: [...toasts.slice(-2), { id, kind, text }] }))
    setTimeout(() => this.dismiss(id), toastFor)
  }

  dismiss(id: number): void {
    this.store.set(({ toasts }) => ({ toasts: toasts.filter((toast) => toast.id !== id) }))
  }
}

function asRead(message: Message): Message {
  return message.isRead ? message : { ...message, isRead: true }
}

function nextOf(answer: Record<string, unknown>): string | undefined {
  return typeof answer['next'] === 'string' && answer['next'] !== '' ? answer['next'] : undefined
}
