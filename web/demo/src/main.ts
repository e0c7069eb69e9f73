import { render } from 'lit/html.js'
import { Actions } from './actions'
import { favicon } from './icons'
import { Store, type State } from './state'
import { chooseStrings } from './strings'
import { app } from './view/app'

const query = new URLSearchParams(location.search)
const strings = chooseStrings(query.get('lang'), navigator.languages)
document.documentElement.lang = strings.tag

const root = document.getElementById('app') as HTMLElement
const icon = document.getElementById('favicon') as HTMLLinkElement
const store = new Store(draw)
const actions = new Actions(store, strings)

function draw(state: State): void {
  render(app({ state, actions, strings }), root)
  const { unread } = state.counts
  const place = state.me ? `${state.me.name} · belfry` : 'belfry'
  document.title = unread > 0 ? `(${unread}) ${place}` : place
  const image = favicon(unread > 0)
  if (icon.href !== image) icon.href = image
}

// A click outside the open list closes it.
document.addEventListener('pointerdown', (event) => {
  const inside = event.target instanceof Element && event.target.closest('.bell')
  if (store.state.bellOpen && !inside) actions.openBell(false)
})

// "5 minutes ago" and "Today" grow old.
setInterval(() => store.set({ now: new Date() }), 20_000)
document.addEventListener('visibilitychange', () => store.set({ now: new Date() }))

store.set({})
void actions.start(query.get('uid'))
