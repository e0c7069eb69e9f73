/**
 * Returns the address where it may become a link (http, https, mailto, or
 * relative), and undefined for every other, `javascript:` above all.
 */
function safeLink(address: string): string | undefined {
  if (address === '') return undefined
  // The browser's own parser decides, because it is the one that would follow
  // the link: it ignores control characters that a pattern would stumble over.
  const url = URL.canParse(address, location.href) ? new URL(address, location.href) : undefined
  return url && ['http:', 'https:', 'mailto:'].includes(url.protocol) ? address : undefined
}

/** The same for a picture. */
export function safeImage(address: string): string | undefined {
  const link = safeLink(address)
  return link && !/^\s*mailto:/i.test(link) ? link : undefined
}

export interface Link {
  href: string
  /** Whether it leads away from this page, and so opens beside it. */
  away: boolean
}

/**
 * Makes a link of an address that may become one. An anchor on this page stays
 * on the page of this user, whatever query its address has.
 */
export function linkTo(address: string): Link | undefined {
  const href = safeLink(address)
  if (href === undefined) return undefined
  const { origin, pathname, hash } = new URL(href, location.href)
  const here = origin === location.origin && pathname === location.pathname && hash !== ''
  return here ? { href: hash, away: false } : { href, away: true }
}

/** This page's address for another user, the language kept. */
export function pageOf(uid?: string): string {
  const query = new URLSearchParams(location.search)
  query.delete('uid')
  if (uid !== undefined) query.set('uid', uid)
  const text = query.toString()
  return location.pathname + (text ? '?' + text : '')
}
