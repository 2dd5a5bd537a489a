export const SAMPLE_CONTENT = `Moving our nightly reports to durable workflows was a clear success. Before, a power cut at three in the \
morning meant that somebody had to find out which reports were missing and start them again by hand. Now a worker \
that dies is simply replaced, and the reports that were finished stay finished. The team is delighted, and the new monitoring is excellent.

Not everything is finished. The first week was hard: nobody understood why the code of a workflow has to be \
deterministic, and two engineers spent a day on a bug that came from reading the clock in the wrong place. \
The documentation could be better, and the costs of the language model are still a concern. But the new system is \
reliable, the database was one that we already had, and for the first time the reports are on the desk every morning.`;

export const SAMPLE_TOPIC = 'Durable execution for AI agents';
