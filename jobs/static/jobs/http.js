// @ts-check
/** Calls to the platform's HTTP API: CSRF token, a single error type, idempotent submits. */

const TIMEOUT_MS = 15_000;
const RETRY_DELAYS_MS = [500, 1_500, 4_000];
/** Key in sessionStorage of the last submit that got no definite answer. */
const STORAGE_KEY = "jobs:unanswered-submit";

/** An error response of the API; code "network" and status 0 if there was no response. */
export class ApiError extends Error {
  /** @param {{code: string, message: string, details?: any, retryAfter?: number}} error @param {number} status */
  constructor(error, status) {
    super(error.message);
    this.name = "ApiError";
    this.code = error.code;
    this.details = error.details;
    /** Seconds to wait before the next request, if the server named a time. */
    this.retryAfter = error.retryAfter;
    this.status = status;
  }

  /** True if the outcome is unknown: the request may have been processed, and may succeed when repeated. */
  get isTransient() {
    return this.status === 0 || this.status === 502 || this.status === 504;
  }
}

/**
 * Sends a JSON request with the session cookie and returns the body. Throws ApiError unless the status is 2xx.
 * @param {string} method @param {string} url
 * @param {{payload?: string, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>}
 */
export async function request(method, url, { payload, headers = {} } = {}) {
  /** @type {Record<string, string>} */
  const sent = { Accept: "application/json", ...headers };
  if (payload !== undefined) sent["Content-Type"] = "application/json";
  if (method !== "GET") sent["X-CSRFToken"] = cookie("csrftoken");
  const signal = AbortSignal.timeout(TIMEOUT_MS);
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
 * Sends a POST that creates something exactly once: retries on network failures with the same Idempotency-Key. The
 * key is kept after a failed call and across reloads, so that the next call with the same body reuses it.
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
      const delay = RETRY_DELAYS_MS[repeats];
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

/** A random key. crypto.randomUUID exists on https only; this also works on plain http. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @type {string | null} fallback where the browser forbids storage */
let memoryCopy = null;

/** @returns {{url: string, payload: string, key: string} | null} */
function storedKey() {
  try {
    return JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? memoryCopy ?? "null");
  } catch {
    return JSON.parse(memoryCopy ?? "null");
  }
}

/** @param {string} value */
function store(value) {
  memoryCopy = value;
  try {
    sessionStorage.setItem(STORAGE_KEY, value);
  } catch {
    // Storage is full or forbidden: memoryCopy lasts until the next reload.
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
