// Dates on the wire are wall clock times in the server's zone; the page shows
// them in the reader's.

const fields: Intl.DateTimeFormatOptions = {
  hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric',
  hour: 'numeric', minute: 'numeric', second: 'numeric',
}

const formats = new Map<string, Intl.DateTimeFormat>()

function zoneFormat(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone)
  if (!format) {
    format = new Intl.DateTimeFormat('en-US', { ...fields, timeZone: zone })
    formats.set(zone, format)
  }
  return format
}

/** How far the zone is ahead of UTC at an instant, in milliseconds. */
function offset(instant: number, zone: string): number {
  const part: Record<string, number> = {}
  for (const { type, value } of zoneFormat(zone).formatToParts(instant)) part[type] = Number(value)
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part
  return Date.UTC(year, month - 1, day, hour, minute, second) - instant
}

/** Reads `2006-01-02 15:04:05` as a time in the zone; undefined for anything else. */
export function parseDate(text: string, zone: string): Date | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)$/.exec(text)
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [number, number, number, number, number, number]
  const wall = Date.UTC(year, month - 1, day, hour, minute, second)
  // The second look settles the hours around a change of the clock.
  const guess = wall - offset(wall, zone)
  return new Date(wall - offset(guess, zone))
}

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** "just now", "5 min. ago", "3 hr. ago", then the date. */
export function relative(date: Date, now: Date, locale: string, justNow: string): string {
  const age = now.getTime() - date.getTime()
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'always', style: 'short' })
  if (Math.abs(age) < minute) return justNow
  if (age > 0 && age < hour) return format.format(-Math.floor(age / minute), 'minute')
  if (age > 0 && age < day) return format.format(-Math.floor(age / hour), 'hour')
  return date.toLocaleDateString(locale, { month: 'short', day: 'numeric' })
}

/** "Today", "Yesterday" in the reader's language, or undefined for other days. */
export function dayName(date: Date, now: Date, locale: string): string | undefined {
  const days = Math.round((startOfDay(now) - startOfDay(date)) / day)
  if (days !== 0 && days !== 1) return undefined
  const name = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(-days, 'day')
  return name.charAt(0).toLocaleUpperCase(locale) + name.slice(1)
}

/** A day in full, without the year where it is this one. */
export function fullDay(date: Date, now: Date, locale: string): string {
  const sameYear = date.getFullYear() === now.getFullYear()
  return date.toLocaleDateString(locale, {
    weekday: 'long', month: 'long', day: 'numeric', ...(sameYear ? {} : { year: 'numeric' }),
  })
}

export function clock(date: Date, locale: string): string {
  return date.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
}

/** Names the reader's calendar day of a date, for grouping. */
export function startOfDay(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime()
}
