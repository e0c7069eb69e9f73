// Every word that the page itself says, in English and Chinese. What people
// write is shown as they wrote it.

const en = {
  tag: 'en',
  otherLanguage: { tag: 'zh-CN', name: '中文' },
  loading: 'Loading…',
  workspace: 'Team workspace',
  company: (id: string) => `Company ${id}`,
  you: 'You',
  thisPage: 'This page',
  switchUser: 'Switch user',

  online: (n: number) => (n === 1 ? '1 person online' : `${n} people online`),
  connecting: 'Connecting…',
  reconnecting: 'Reconnecting…',
  reconnectingLong: 'The connection is gone. What you see may be old; it catches up by itself.',
  refused: (why: string) => `The server refused to log in: ${why}`,
  retry: 'Try again',
  loadFailed: 'That could not be loaded.',

  messages: 'Messages',
  unread: (n: number) => (n === 0 ? 'No unread messages' : n === 1 ? '1 unread message' : `${n} unread messages`),
  markAllRead: 'Mark all read',
  allTypes: 'All',
  types: { 1: 'System', 2: 'Admin', 3: 'Tasks' } as Record<number, string>,
  isUnread: 'Unread',
  noMessages: 'You are all caught up',
  noMessagesHint: 'When somebody assigns a task to you, it shows up here.',
  noneOfType: 'Nothing of this kind',
  noneOfTypeHint: 'Choose another filter to see the rest.',
  older: 'Show older',
  justNow: 'just now',
  whileAway: (n: number) => (n === 1 ? '1 message arrived while you were away' : `${n} messages arrived while you were away`),

  activity: 'Activity',
  activityHint: (company: string) => `What people at ${company} are doing, as it happens`,
  undated: 'Earlier',
  noActivity: 'Nothing has happened yet',
  noActivityHint: 'Create the first task. Everybody in the company sees it here at once.',

  newTask: 'New task',
  taskName: 'What is to be done?',
  taskNameHint: 'Review the release notes',
  addDetails: 'Add details',
  details: 'Details',
  detailsHint: 'Anything that helps to get it done',
  assignTo: 'Assign to',
  create: 'Create task',
  creating: 'Creating…',
  nameMissing: 'Give the task a name.',
  deliveredTo: (name: string) => `Delivered to ${name}’s open pages`,
  deliveredToMe: 'Delivered to your open pages',
  waitsFor: (name: string) => `${name} is away. It waits in the inbox.`,
  pushFailed: 'The task was created, but its message was refused.',
  activityFailed: 'The task was created, but the company was not told.',
  createFailed: 'The task could not be created. Try again.',

  others: 'See the other side',
  othersHint: 'Open a second window as somebody else, and watch a task arrive.',
  openAs: (name: string) => `Open as ${name} in a new window`,
  otherCompanyHint: 'sees nothing of yours',

  whoAreYou: 'Who are you today?',
  chooseHint: 'Choose somebody. Open a second window as somebody else, and you have a team.',
  unknownUser: (uid: string) => `There is no user “${uid}” here.`,

  dismiss: 'Dismiss',
}

export type Strings = typeof en

const zh: Strings = {
  tag: 'zh-CN',
  otherLanguage: { tag: 'en', name: 'English' },
  loading: '加载中…',
  workspace: '团队协作',
  company: (id) => `公司 ${id}`,
  you: '我',
  thisPage: '当前页面',
  switchUser: '切换用户',

  online: (n) => `${n} 人在线`,
  connecting: '连接中…',
  reconnecting: '重新连接中…',
  reconnectingLong: '连接已断开,当前内容可能不是最新的,恢复后会自动更新。',
  refused: (why) => `服务器拒绝登录:${why}`,
  retry: '重试',
  loadFailed: '加载失败。',

  messages: '消息',
  unread: (n) => (n === 0 ? '没有未读消息' : `${n} 条未读消息`),
  markAllRead: '全部标为已读',
  allTypes: '全部',
  types: { 1: '系统', 2: '管理员', 3: '任务' },
  isUnread: '未读',
  noMessages: '没有新消息',
  noMessagesHint: '有人给你指派任务时,会显示在这里。',
  noneOfType: '没有这类消息',
  noneOfTypeHint: '换一个分类看看其他消息。',
  older: '查看更早的',
  justNow: '刚刚',
  whileAway: (n) => `离线期间收到 ${n} 条消息`,

  activity: '最新动态',
  activityHint: (company) => `实时显示 ${company} 同事的操作`,
  undated: '更早',
  noActivity: '还没有动态',
  noActivityHint: '创建第一个任务,全公司的同事都会立刻在这里看到。',

  newTask: '新建任务',
  taskName: '要做什么?',
  taskNameHint: '例如:检查发布说明',
  addDetails: '添加说明',
  details: '说明',
  detailsHint: '有助于完成任务的信息',
  assignTo: '指派给',
  create: '创建任务',
  creating: '创建中…',
  nameMissing: '任务标题不能为空。',
  deliveredTo: (name) => `已送达 ${name} 打开的页面`,
  deliveredToMe: '已送达你打开的页面',
  waitsFor: (name) => `${name} 不在线,消息已存入收件箱。`,
  pushFailed: '任务已创建,但消息推送被拒绝。',
  activityFailed: '任务已创建,但动态推送失败。',
  createFailed: '任务创建失败,请重试。',

  others: '换个身份看看',
  othersHint: '用另一位同事的身份再打开一个窗口,看任务即时送达。',
  openAs: (name) => `以 ${name} 的身份在新窗口打开`,
  otherCompanyHint: '看不到你们的任何内容',

  whoAreYou: '今天你是谁?',
  chooseHint: '选择一位同事,再用另一位的身份打开一个窗口,就有了一个团队。',
  unknownUser: (uid) => `没有用户“${uid}”。`,

  dismiss: '关闭',
}

/** Chooses the language: `?lang=`, then the browser's, then English. */
export function chooseStrings(wanted: string | null, preferred: readonly string[]): Strings {
  const first = wanted ?? preferred.find((tag) => /^(zh|en)\b/i.test(tag)) ?? 'en'
  return /^zh\b/i.test(first) ? zh : en
}
