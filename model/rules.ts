/**
 * What keeps the protocol correct, one rule each. Each can be left out (`--without RULE`), and then
 * the model must find a counter-example: that is how we know that it could.
 */
export const RULES = {
  exclusive: 'a run, or a step, has one job at most, queued or active',
  'fenced-events': 'an event of a driver is refused when its lease is gone',
  'fenced-jobs': 'a job is completed only under the retry count under which it was fetched',
  'fenced-claims': 'step_started is refused when the lease is gone',
  'fenced-steps': 'a driver sends a step to its queue only while it holds the lease of the run',
  'finished-steps': 'step_started is refused for a step that has a result',
  'first-result': 'a result is refused for a step that has one',
  'old-steps': 'a step from before this lease goes to the step queue, never to this process',
  'number-with-event': 'wake_seq rises in the transaction of the event',
  'number-before-log': 'the driver reads wake_seq before it loads the log',
  'own-events': 'the driver counts its own events, and never adopts the number that an update returns',
  'nothing-between': 'the driver goes on without reading only after a result of its own before which nothing was new',
  'park-check': 'no park when wake_seq is not the number seen',
  'wake-loop': 'a wake that finds a job makes it due, or finds it active',
  'wake-step': 'whoever recorded a result under the lease of a step job wakes the run',
  'wake-when-lost': 'a driver that lost its lease wakes the run when its last step has ended',
  'replace-in-one-transaction': 'a job is completed and sent anew in one transaction',
  heartbeat: 'a job whose holder is dead can be fetched again',
  sweep: 'runs with unseen events or a due timer, and no job that is active or due, are woken',
  'sweep-steps': 'parked runs with an unfinished step that has no job are woken',
} as const;

export type Rule = keyof typeof RULES;

export const RULE_NAMES = Object.keys(RULES) as Rule[];

/** What is never to happen, and what is always to stay possible. */
export const INVARIANTS = [
  'at most one job of a run, or of a step, is active',
  'a lease is ended only by its holder',
  'an event is written by the holder of the current lease, except the result of a step that was executing',
  'a step is recorded once',
  'no step begins without a lease, after its result, or while the holder of another valid lease executes it',
  'no park goes over an event that the driver has not seen',
  'a step that was sent to its queue has a job there until it has a result',
  'from every state the run comes to its end, if nothing more dies',
  'as long as nothing has died or got lost, it does so without the sweep, and a hook never waits for a timer',
] as const;
