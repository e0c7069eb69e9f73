import type { Actions } from '../actions'
import type { User } from '../model'
import type { State } from '../state'
import type { Strings } from '../strings'

/** What every part of the page is drawn from. */
export interface View {
  state: State
  actions: Actions
  strings: Strings
}

/** What the page calls a user's company. */
export function companyName(state: State, user: User, strings: Strings): string {
  const company = state.config?.companies.find(({ id }) => id === user.companyID)
  return company?.name ?? strings.company(user.companyID)
}
