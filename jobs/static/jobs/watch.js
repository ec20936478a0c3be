// @ts-check
/** State of one watched job: the last event applied, the text so far, whether the job has ended. No I/O. */

/** @typedef {{attempt: number, seq: number}} Place position in the events of a job */
/** @typedef {{code: string, message: string}} JobError */
/** @typedef {{n: number, lessonId: string, title: string, heading: string}} Citation */
/** @typedef {"job.completed" | "job.failed" | "job.cancelled"} FinalType */
/** @typedef {"job.started" | "job.progress" | "job.delta" | "job.retrying" | FinalType} EventType */
/**
 * @typedef {object} JobEvent
 * @property {EventType} type
 * @property {string} jobId
 * @property {string} [kind]
 * @property {number} attempt
 * @property {number} seq
 * @property {string} [text] job.delta
 * @property {string} [step] job.progress
 * @property {string} [reason] job.retrying
 * @property {string} [retryAt] job.retrying
 * @property {string | null} [answer] job.completed, job.cancelled
 * @property {Citation[] | null} [citations] job.completed
 * @property {any} [result] job.completed
 * @property {JobError} [error] job.failed
 * @property {boolean} [retryable] job.failed
 */
/** @typedef {(event: JobEvent, text: string) => void} Listener text: of the attempt, including this event */

const FINAL = new Set(["job.completed", "job.failed", "job.cancelled"]);
// Requests back off while there is no progress, because all pages wait at the same time during an outage.
const BACKOFF = 1.5; // factor per request
const MAX_BACKOFF = 6; // times the base interval
const MAX_RETRY_WAIT_MS = 60_000; // limit for retryAt, because this computer's clock may differ from the server's

export class JobWatch {
  isOver = false;
  text = "";
  #progressAt = Date.now();
  /** Time of the announced retry (ms since 1970, 0 for none): no events are expected before it. */
  #retryAt = 0;
  /** Time of the last request for events, and the number of requests since the last progress. */
  #requestedAt = 0;
  #requests = 0;
  /** When the events after `place` were last requested again (ms since 1970); 0 after progress. */
  gapRequestedAt = 0;

  /** @param {string} jobId @param {Place} place @param {Listener} listener */
  constructor(jobId, place, listener) {
    this.jobId = jobId;
    this.place = { ...place };
    this.listener = listener;
  }

  /**
   * Applies an event if it is the next one. "gap" means that events after `place` are missing: request them.
   * @param {JobEvent} event @returns {"taken" | "ignored" | "gap"}
   */
  take(event) {
    if (event.attempt < this.place.attempt) return "ignored";
    if (event.attempt > this.place.attempt) this.startAttempt(event.attempt);
    if (this.isOver) return "ignored";
    // A final event carries the whole answer, so missing events before it do not matter.
    if (!FINAL.has(event.type)) {
      if (event.seq <= this.place.seq) return "ignored";
      if (event.seq > this.place.seq + 1) return "gap";
    }
    this.#apply(event);
    return "taken";
  }

  /** Applies the state of the job's row, in place of events that did not arrive. @param {any} row */
  applyRow(row) {
    if (this.isOver) return;
    if (row.attempt > this.place.attempt) this.startAttempt(row.attempt);
    const type = `job.${row.status}`;
    const base = { ...this.place, jobId: this.jobId };
    if (FINAL.has(type)) return this.#apply({ retryable: true, ...row, ...base, type });
    if (row.retryAt && Date.parse(row.retryAt) !== this.#retryAt)
      this.#apply({ ...base, type: "job.retrying", reason: row.error?.message, retryAt: row.retryAt });
  }

  /** Resets the text for a new attempt. @param {number} attempt */
  startAttempt(attempt) {
    this.place = { attempt, seq: 0 };
    this.text = "";
    this.isOver = false;
    this.#retryAt = 0;
    this.#noteProgress();
  }

  /** Records that events are being requested. */
  noteRequest() {
    this.#requestedAt = Date.now();
    this.#requests += 1;
  }

  /** Whether events are overdue. @param {number} interval in ms; grows with each request that brought no progress */
  isSilent(interval) {
    const retryDue = Math.min(this.#retryAt, this.#progressAt + MAX_RETRY_WAIT_MS);
    const since = Math.max(this.#progressAt, this.#requestedAt, retryDue);
    return Date.now() > since + interval * Math.min(MAX_BACKOFF, BACKOFF ** this.#requests);
  }

  #noteProgress() {
    this.#progressAt = Date.now();
    this.#requests = 0;
  }

  /** @param {JobEvent} event */
  #apply(event) {
    this.place.seq = event.seq;
    this.#noteProgress();
    this.gapRequestedAt = 0;
    if (event.type === "job.delta") this.text += event.text ?? "";
    if (event.type === "job.retrying") this.#retryAt = Date.parse(event.retryAt ?? "") || 0;
    this.isOver = FINAL.has(event.type);
    if (this.isOver) this.text = event.answer ?? this.text;
    this.listener(event, this.text);
  }
}
