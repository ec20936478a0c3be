// @ts-check
/** Calls to the platform's HTTP API: CSRF token, one error shape, submits that are safe to repeat. */

const TIMEOUT = 15_000;
const REPEAT_AFTER = [500, 1_500, 4_000];
const UNANSWERED = "jobs:unanswered-submit";

/** What went wrong, as the API tells it; code "network" with status 0 when no answer came. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, details?: any, retryAfter?: number}} error @param {number} status */
  constructor(error, status) {
    super(error.message);
    this.name = "ApiError";
    this.code = error.code;
    this.details = error.details;
    /** Seconds to wait before asking again, where the server said so. */
    this.retryAfter = error.retryAfter;
    this.status = status;
  }

  /** No definite answer was given: the same request may succeed, and may even have been carried out. */
  get isTransient() {
    return this.status === 0 || this.status === 502 || this.status === 504;
  }
}

/**
 * One JSON request with the session cookie. Throws ApiError for anything but a 2xx answer.
 * @param {string} method @param {string} url
 * @param {{payload?: string, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>}
 */
export async function request(method, url, { payload, headers = {} } = {}) {
  /** @type {Record<string, string>} */
  const sent = { Accept: "application/json", ...headers };
  if (payload !== undefined) sent["Content-Type"] = "application/json";
  if (method !== "GET") sent["X-CSRFToken"] = cookie("csrftoken");
  const signal = AbortSignal.timeout(TIMEOUT);
  let response, body;
  try {
    response = await fetch(url, { method, headers: sent, body: payload ?? null, credentials: "same-origin", signal });
    body = await readJson(response);
  } catch {
    throw new ApiError({ code: "network", message: "The server cannot be reached." }, 0);
  }
  if (!response.ok) throw errorFrom(response, body);
  return body;
}

/**
 * POST that creates something exactly once: repeats a few times when the network fails, always under the same
 * Idempotency-Key. The key outlives a failed call and a reload: the next call with the same body uses it again.
 * @param {string} url @param {object} body
 */
export async function submitOnce(url, body) {
  const payload = JSON.stringify(body);
  const headers = { "Idempotency-Key": keyFor(url, payload) };
  for (let repeats = 0; ; repeats += 1) {
    try {
      const answer = await request("POST", url, { payload, headers });
      forgetKey();
      return answer;
    } catch (caught) {
      const error = /** @type {ApiError} */ (caught);
      if (!error.isTransient) forgetKey();
      const delay = REPEAT_AFTER[repeats];
      if (!error.isTransient || delay === undefined) throw error;
      await pause(delay * (0.5 + Math.random()));
    }
  }
}

/** @param {string} url @param {string} payload */
function keyFor(url, payload) {
  const kept = storedKey();
  if (kept?.url === url && kept.payload === payload) return kept.key;
  const key = newKey();
  store(JSON.stringify({ url, payload, key }));
  return key;
}

/** crypto.randomUUID exists on https only; this works on plain http too. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @type {string | null} the copy that serves where the browser forbids storage */
let unstored = null;

/** @returns {{url: string, payload: string, key: string} | null} */
function storedKey() {
  try {
    return JSON.parse(sessionStorage.getItem(UNANSWERED) ?? unstored ?? "null");
  } catch {
    return JSON.parse(unstored ?? "null");
  }
}

/** @param {string} value */
function store(value) {
  unstored = value;
  try {
    sessionStorage.setItem(UNANSWERED, value);
  } catch {
    // Storage is full or forbidden: the copy above lasts until the next reload.
  }
}

function forgetKey() {
  store("null");
}

/** @param {Response} response */
async function readJson(response) {
  if (!response.headers.get("content-type")?.includes("json")) return null;
  return response.json();
}

/** @param {Response} response @param {any} body */
function errorFrom(response, body) {
  const fallback = { code: "unexpected", message: `The server answered ${response.status}.` };
  const error = { ...fallback, ...body?.error };
  const seconds = Number(error.retryAfter ?? response.headers.get("retry-after") ?? NaN);
  return new ApiError({ ...error, retryAfter: Number.isFinite(seconds) ? seconds : undefined }, response.status);
}

/** @param {string} name */
function cookie(name) {
  const pair = document.cookie.split("; ").find((entry) => entry.startsWith(`${name}=`));
  return pair ? decodeURIComponent(pair.slice(name.length + 1)) : "";
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
