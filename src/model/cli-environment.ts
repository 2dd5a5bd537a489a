/** Variables as they are given to a process; undefined: it does not get this one, whoever else passes it on. */
export type Environment = Record<string, string | undefined>;

/** What every process needs, on Windows, too. */
const PROCESS =
  /^(HOME|LOGNAME|PATH|SHELL|TERM|USER|LANG|LC_\w+|TZ|APPDATA|COMSPEC|HOMEDRIVE|HOMEPATH|LOCALAPPDATA|PATHEXT|SYSTEMDRIVE|SYSTEMROOT|TEMP|TMP|TMPDIR|USERNAME|USERPROFILE|WINDIR)$/i;

/** Where the API is, by which network it is reached, and under which names it has the models. */
const API =
  /^((HTTPS?|NO)_PROXY|NODE_EXTRA_CA_CERTS|SSL_CERT_(FILE|DIR)|CLAUDE_CODE_(CERT_STORE|CLIENT_(CERT|KEY|KEY_PASSPHRASE))|ANTHROPIC_(BASE_URL|CUSTOM_HEADERS|BETAS|(DEFAULT_[A-Z]+|SMALL_FAST)_MODEL)|CLAUDE_CONFIG_DIR)$/i;

/** Each way of somebody else's to Claude, in the CLI's order, with the variables that only it needs. */
const CLOUDS: [name: string, variables: RegExp][] = [
  ['BEDROCK', /^(AWS_|ANTHROPIC_BEDROCK_|ANTHROPIC_SMALL_FAST_MODEL_AWS_REGION$|CLAUDE_CODE_USE_MANTLE$)/],
  ['FOUNDRY', /^(AZURE|ANTHROPIC_FOUNDRY)_/],
  ['ANTHROPIC_AWS', /^(AWS|ANTHROPIC_AWS)_/],
  ['ANTHROPIC_GOOGLE_CLOUD', /^(GOOGLE_|ANTHROPIC_GOOGLE_CLOUD_|GCLOUD_PROJECT$|CLOUDSDK_CONFIG$)/],
  ['MANTLE', /^(AWS|ANTHROPIC_BEDROCK)_/],
  ['VERTEX', /^(GOOGLE_|ANTHROPIC_VERTEX_|VERTEX_REGION_|CLOUD_ML_REGION$|GCLOUD_PROJECT$|CLOUDSDK_CONFIG$)/],
];

/** At Anthropic's own API. Where both are set, the CLI sends both, and a gateway may want either. */
const KEYS = ['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN'];
const OAUTH_TOKEN = 'CLAUDE_CODE_OAUTH_TOKEN';
const WORKLOAD_IDENTITY =
  /^ANTHROPIC_(IDENTITY_TOKEN|IDENTITY_TOKEN_FILE|FEDERATION_RULE_ID|ORGANIZATION_ID|SERVICE_ACCOUNT_ID|WORKSPACE_ID|PROFILE|CONFIG_DIR|SCOPE)$/;

/** Set for every call. */
const SETTINGS = {
  CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  DISABLE_TELEMETRY: '1',
  DISABLE_ERROR_REPORTING: '1',
  DISABLE_AUTOUPDATER: '1',
  // No retries beneath ours: the CLI's own take 186 s to report a 401. Its watchdog would wait for a rate
  // limit, however long; so it announces until when, and is killed (see call.ts).
  CLAUDE_CODE_MAX_RETRIES: '0',
  CLAUDE_CODE_RETRY_WATCHDOG: '1',
  CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK: '1',
  // Else it would go on in the same text with a model that nobody has asked for.
  CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK: '1',
  // Else `@/etc/passwd` in a prompt puts that file into it, although there are no tools.
  CLAUDE_CODE_DISABLE_ATTACHMENTS: '1',
  // The administrator's CLAUDE.md is none of the settings that `settingSources: []` keeps out.
  CLAUDE_CODE_DISABLE_CLAUDE_MDS: '1',
};

/**
 * The environment of a call of the CLI: what it needs of ours, the secrets of the login in use and
 * no other. HOME and the configuration stay the user's, since a login lives there. What must not be
 * inherited is there as undefined, since the provider passes on far more.
 */
export function cliEnvironment(ours: NodeJS.ProcessEnv = process.env): Environment {
  const login = loginInUse(ours);
  const inherited = Object.entries(ours).map(([name, value]): [string, string | undefined] => {
    return [name, PROCESS.test(name) || API.test(name) || login(name) ? value : undefined];
  });
  return { ...Object.fromEntries(inherited), ...SETTINGS };
}

/** The environment without any login, for the simulated API: it must neither see one nor be left for another. */
export function simulatedEnvironment(env: Environment, apiUrl: string): Environment {
  const kept = Object.entries(env).filter(([name]) => !leadsToApi(name));
  return { ...Object.fromEntries(kept), ANTHROPIC_BASE_URL: apiUrl, ANTHROPIC_API_KEY: 'simulated' };
}

/** Whether the variable has a part in reaching the API, by any way, or in logging in there. */
export function leadsToApi(name: string): boolean {
  const isAnthropics = KEYS.includes(name) || name === OAUTH_TOKEN || WORKLOAD_IDENTITY.test(name);
  const isClouds = CLOUDS.some(([cloud, variables]) => isSwitch(name, cloud) || variables.test(name));
  return API.test(name) || isAnthropics || isClouds;
}

/** As the CLI chooses: the first cloud that is switched on, else a key, else a token, else an identity. */
function loginInUse(env: Environment): (name: string) => boolean {
  const cloud = CLOUDS.find(([name]) => /^\s*(1|true|yes|on)\s*$/i.test(env[`CLAUDE_CODE_USE_${name}`] ?? ''));
  if (cloud) return (name) => isSwitch(name, cloud[0]) || cloud[1].test(name);
  const keys = KEYS.filter((name) => env[name]);
  if (keys.length > 0) return (name) => keys.includes(name);
  return env[OAUTH_TOKEN] ? (name) => name === OAUTH_TOKEN : (name) => WORKLOAD_IDENTITY.test(name);
}

function isSwitch(name: string, cloud: string): boolean {
  return name === `CLAUDE_CODE_USE_${cloud}` || name === `CLAUDE_CODE_SKIP_${cloud}_AUTH`;
}
