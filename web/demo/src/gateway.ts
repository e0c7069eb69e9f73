import { io, type Socket } from 'socket.io-client'
import { isFields, toActivity, toConfig, toCounts, toMessage, type Activity, type Config, type Counts, type Message } from './model'

/** What the server tells the page unasked. */
export interface Listener {
  welcome(online: number, counts: Counts): void
  refused(why: string): void
  lost(): void
  /** A message, and the counts after it where they come with it: of a notice they come later. */
  message(message: Message, counts: Counts | undefined): void
  /** A message of text alone, as web-msg-sender's callers push it. */
  text(content: string): void
  activity(activity: Activity): void
  online(users: number): void
  counts(counts: Counts): void
}

type Fields = Record<string, unknown>

/** How long an answer may take, in milliseconds: longer than the server tries. */
const answerTimeout = 60_000

/** How long to wait before knocking again where the server ended the connection, or could not let the page in. */
const knockAgain = 1_000

/** The server has answered that it will not. */
class Refusal extends Error {
  readonly code: unknown

  constructor(answer: unknown) {
    const error = isFields(answer) ? answer['error'] : undefined
    super(isFields(error) && typeof error['message'] === 'string' ? error['message'] : 'no reason given')
    this.code = isFields(error) ? error['code'] : undefined
  }

  /** Whether asking again may help. */
  get passes(): boolean {
    return this.code === 'unavailable' || this.code === 'limited'
  }
}

/** The page's connection: it logs in on every connect and speaks in acks. */
export class Gateway {
  readonly #socket: Socket

  constructor(
    private readonly token: string,
    private readonly listener: Listener,
  ) {
    this.#socket = io({ autoConnect: false })
    this.#listen()
    this.#socket.connect()
  }

  /** Asks for something and returns the answer; throws where it is refused or late. */
  async ask(event: string, argument: Fields = {}): Promise<Fields> {
    const answer: unknown = await this.#socket.timeout(answerTimeout).emitWithAck(event, argument)
    if (!isFields(answer) || answer['ok'] !== true) throw new Refusal(answer)
    return answer
  }

  reconnect(): void {
    this.#socket.disconnect().connect()
  }

  #listen(): void {
    const { listener } = this
    this.#socket
      .on('connect', () => void this.#login())
      .on('connect_error', () => listener.lost())
      .on('disconnect', (why) => {
        if (why === 'io client disconnect') return
        listener.lost()
        // The client does not come back by itself where the server said goodbye.
        if (why === 'io server disconnect') this.#knockAgain()
      })
      .on('new_msg', (raw: unknown) => {
        if (typeof raw === 'string') listener.text(raw)
        else if (isFields(raw)) listener.message(toMessage(raw), toCounts(raw['counts']))
      })
      .on('update_dynamic', (raw: unknown) => {
        if (isFields(raw)) listener.activity(toActivity(raw))
      })
      .on('update_online_count', (users: unknown) => {
        if (typeof users === 'number') listener.online(users)
      })
      .on('counts', (raw: unknown) => {
        const counts = toCounts(raw)
        if (counts) listener.counts(counts)
      })
  }

  async #login(): Promise<void> {
    const { id } = this.#socket
    try {
      const answer = await this.ask('login', { token: this.token, format: 'text' })
      const counts = toCounts(answer['counts'])
      if (!counts) throw new Refusal(undefined)
      this.listener.welcome(Number(answer['online']), counts)
    } catch (error) {
      // An answer that was lost with its connection is no refusal.
      if (!this.#socket.connected || this.#socket.id !== id) return
      this.#socket.disconnect()
      if (error instanceof Refusal && !error.passes) {
        this.listener.refused(error.message)
      } else {
        this.listener.lost()
        this.#knockAgain()
      }
    }
  }

  #knockAgain(): void {
    setTimeout(() => this.#socket.connect(), knockAgain)
  }
}

export async function loadConfig(): Promise<Config> {
  const answer = await fetch(import.meta.env.BASE_URL + 'config.json', { cache: 'no-store' })
  if (!answer.ok) throw new Error(`config.json: ${answer.status}`)
  return toConfig(await answer.json())
}

export interface NewTask {
  name: string
  content: string
  /** The uid of a colleague. */
  assignee: string
  /** The login token of the creator. */
  as: string
}

/** How the pushes of a new task went: `ok`, `offline` or `fail` each. */
export interface TaskOutcome {
  message: string
  activity: string
}

export async function createTask(task: NewTask): Promise<TaskOutcome> {
  const answer = await fetch(import.meta.env.BASE_URL + 'tasks', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(task),
  })
  if (!answer.ok) throw new Error(`tasks: ${answer.status}`)
  const outcome: unknown = await answer.json()
  if (!isFields(outcome)) throw new Error('tasks: not an object')
  return { message: String(outcome['message']), activity: String(outcome['activity']) }
}
