/** Where the steps of the fixtures write down that they were executed; `ended`: although they had their result. */
export const CREATE_EXECUTIONS = `
  CREATE TABLE IF NOT EXISTS executions (run_id text, step_id text, pid integer, ended boolean, at timestamptz DEFAULT now())`;
