/**
 * Returns the address where it may become a link (http, https, mailto, or
 * relative), and undefined for every other, `javascript:` above all.
 */
export function safeLink(address: string): string | undefined {
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

/** Whether a link leads away from this page, and so opens beside it. */
export function leavesPage(address: string): boolean {
  const url = new URL(address, location.href)
  return url.origin !== location.origin || url.pathname !== location.pathname
}

/** This page's address for another user, the language kept. */
export function pageOf(uid?: string): string {
  const query = new URLSearchParams(location.search)
  query.delete('uid')
  if (uid !== undefined) query.set('uid', uid)
  const text = query.toString()
  return location.pathname + (text ? '?' + text : '')
}
