// What travels between the page and the server, checked once where it comes in.

/** A message in the inbox of the user. Text is raw: it is shown, never parsed. */
export interface Message {
  messageID: string
  senderID: string
  sender: string
  portrait: string
  title: string
  content: string
  url: string
  date: string
  typeID: number
  isRead: boolean
}

/** What somebody did, shown to the whole company. Text is raw here too. */
export interface Activity {
  activityID: string
  operatorID: string
  operator: string
  portrait: string
  title: string
  content: string
  url: string
  date: string
  objectType: number
  objectID: string
}

/** Exact numbers of the inbox; version grows with every change. */
export interface Counts {
  unread: number
  unseen: number
  byType: Record<string, number>
  version: number
}

export interface Company {
  id: string
  name: string
}

export interface User {
  uid: string
  name: string
  companyID: string
  token: string
}

/** What `/demo/config.json` says. */
export interface Config {
  companies: Company[]
  users: User[]
  /** The IANA zone in which dates on the wire are written. */
  zone: string
}

/** The types of message that have a name of their own. */
export const messageTypes = [3, 1, 2] as const

export const noCounts: Counts = { unread: 0, unseen: 0, byType: {}, version: -1 }

type Fields = Record<string, unknown>

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Ids come as numbers or strings: 1 and "1" are the same. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

function number(value: unknown): number {
  const n = Number(value)
  return Number.isFinite(n) ? n : 0
}

function list<T>(value: unknown, each: (item: Fields) => T): T[] {
  return Array.isArray(value) ? value.filter(isFields).map(each) : []
}

export function toMessage(raw: Fields): Message {
  return {
    messageID: text(raw['messageID']),
    senderID: text(raw['senderID']),
    sender: text(raw['sender']),
    portrait: text(raw['portrait']),
    title: text(raw['title']),
    content: text(raw['content']),
    url: text(raw['url']),
    date: text(raw['date']),
    typeID: number(raw['typeID']),
    isRead: number(raw['isRead']) === 1,
  }
}

export function toActivity(raw: Fields): Activity {
  return {
    activityID: text(raw['activityID']),
    operatorID: text(raw['operatorID']),
    operator: text(raw['operator']),
    portrait: text(raw['portrait']),
    title: text(raw['title']),
    content: text(raw['content']),
    url: text(raw['url']),
    date: text(raw['date']),
    objectType: number(raw['objectType']),
    objectID: text(raw['objectID']),
  }
}

export const toMessages = (raw: unknown): Message[] => list(raw, toMessage)
export const toActivities = (raw: unknown): Activity[] => list(raw, toActivity)

export function toCounts(raw: unknown): Counts | undefined {
  if (!isFields(raw)) return undefined
  const byType: Record<string, number> = {}
  if (isFields(raw['byType'])) {
    for (const [type, n] of Object.entries(raw['byType'])) byType[type] = number(n)
  }
  return { unread: number(raw['unread']), unseen: number(raw['unseen']), byType, version: number(raw['version']) }
}

export function toConfig(raw: unknown): Config {
  if (!isFields(raw)) throw new Error('config.json is not what it should be')
  return {
    companies: list(raw['companies'], (company) => ({ id: text(company['id']), name: text(company['name']) })),
    users: list(raw['users'], (user) => ({
      uid: text(user['uid']),
      name: text(user['name']),
      companyID: text(user['companyID']),
      token: text(user['token']),
    })),
    zone: text(raw['zone']) || 'Asia/Shanghai',
  }
}
