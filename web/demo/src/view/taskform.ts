import { html, nothing, type TemplateResult } from 'lit/html.js'
import { plus } from '../icons'
import type { User } from '../model'
import { portrait } from '../portrait'
import type { View } from './view'

/** "Create a task, assign it to somebody": what a backend pushes afterwards. */
export function taskForm(view: View): TemplateResult {
  const { state, strings, actions } = view
  const { me, config } = state
  if (!me || !config) return html``
  const colleagues = config.users.filter((user) => user.companyID === me.companyID)
  const chosen = colleagues.find((user) => user.uid !== me.uid) ?? me

  return html`<form id="task-form" class="card task-form" novalidate aria-labelledby="task-form-title" @submit=${submit}>
    <h2 id="task-form-title">${strings.newTask}</h2>
    <div class="field">
      <label class="field-label" for="task-name">${strings.taskName}</label>
      <input id="task-name" name="name" type="text" maxlength="200" autocomplete="off" required
        placeholder=${strings.taskNameHint}
        aria-invalid=${state.nameMissing} aria-describedby=${state.nameMissing ? 'task-name-error' : nothing}
        @input=${() => state.nameMissing && actions.nameMissing(false)}>
      ${state.nameMissing ? html`<p id="task-name-error" class="field-error">${strings.nameMissing}</p>` : nothing}
    </div>
    <details class="field">
      <summary>${strings.addDetails}</summary>
      <label class="hidden" for="task-content">${strings.details}</label>
      <textarea id="task-content" name="content" rows="3" maxlength="2000" placeholder=${strings.detailsHint}></textarea>
    </details>
    <fieldset class="field assignees">
      <legend>${strings.assignTo}</legend>
      ${colleagues.map((user) => choice(user, user.uid === chosen.uid, user.uid === me.uid ? strings.you : user.name))}
    </fieldset>
    <button class="button" type="submit" ?disabled=${state.creating}>
      ${plus}<span>${state.creating ? strings.creating : strings.create}</span>
    </button>
  </form>`

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const form = event.target as HTMLFormElement
    const data = new FormData(form)
    const name = String(data.get('name') ?? '').trim()
    const assignee = colleagues.find((user) => user.uid === data.get('assignee'))
    const nameField = form.querySelector<HTMLInputElement>('#task-name')
    if (name === '' || !assignee || !me) {
      actions.nameMissing(name === '')
      nameField?.focus()
      return
    }
    const task = { name, content: String(data.get('content') ?? '').trim(), assignee: assignee.uid, as: me.token }
    if (!(await actions.createTask(task, assignee))) return
    // The assignee stays chosen: the next task is often for the same person.
    for (const field of form.querySelectorAll<HTMLInputElement | HTMLTextAreaElement>('input[type=text], textarea')) field.value = ''
    nameField?.focus()
  }
}

function choice(user: User, checked: boolean, name: string): TemplateResult {
  return html`<label class="assignee">
    <input type="radio" name="assignee" value=${user.uid} ?checked=${checked}>
    ${portrait(user.uid, user.name)}
    <span>${name}</span>
  </label>`
}
