// @ts-check
/** What one page knows of one job: how far it has read, the text so far, whether it has ended. No I/O. */

/** @typedef {{attempt: number, seq: number}} Place */
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
 * @property {string} [text] of a delta
 * @property {string} [step] of a progress
 * @property {string} [reason] of a retrying
 * @property {string} [retryAt] of a retrying
 * @property {string | null} [answer] of a completed or cancelled
 * @property {Citation[] | null} [citations] of a completed
 * @property {any} [result] of a completed
 * @property {JobError} [error] of a failed
 * @property {boolean} [retryable] of a failed
 */
/** @typedef {(event: JobEvent, text: string) => void} Listener the event, and all text of its attempt up to it */

const FINAL = new Set(["job.completed", "job.failed", "job.cancelled"]);
// While nothing is new a page asks less and less often: an outage has all of them waiting at the same time.
const GROWTH = 1.5;
const LONGEST = 6; // times the patience
const MOST_QUIET = 60_000; // ms, whatever this computer's clock makes of a time that the server names

export class JobWatch {
  isOver = false;
  text = "";
  #lastNews = Date.now();
  /** When a retry was announced for (ms since 1970): silence is expected until then. */
  #retryAt = 0;
  /** When somebody last asked for news, and how often since the last of them. */
  #askedAt = 0;
  #asked = 0;
  /** When the events after `place` were last asked for again; 0 once there was progress. */
  gapAskedAt = 0;

  /** @param {string} jobId @param {Place} place @param {Listener} listener */
  constructor(jobId, place, listener) {
    this.jobId = jobId;
    this.place = { ...place };
    this.listener = listener;
  }

  /**
   * Takes an event if it is the next one. "gap": something before it was missed, ask for it from `place`.
   * @param {JobEvent} event @returns {"taken" | "ignored" | "gap"}
   */
  take(event) {
    if (event.attempt < this.place.attempt) return "ignored";
    if (event.attempt > this.place.attempt) this.begin(event.attempt);
    if (this.isOver) return "ignored";
    // A final event carries everything, so it needs nothing of what came before it.
    if (!FINAL.has(event.type)) {
      if (event.seq <= this.place.seq) return "ignored";
      if (event.seq > this.place.seq + 1) return "gap";
    }
    this.#apply(event);
    return "taken";
  }

  /** Takes what the job's row says, in place of events that did not arrive. @param {any} row */
  adopt(row) {
    if (this.isOver) return;
    if (row.attempt > this.place.attempt) this.begin(row.attempt);
    const type = `job.${row.status}`;
    const said = { ...this.place, jobId: this.jobId };
    if (FINAL.has(type)) return this.#apply({ retryable: true, ...row, ...said, type });
    if (row.retryAt && Date.parse(row.retryAt) !== this.#retryAt)
      this.#apply({ ...said, type: "job.retrying", reason: row.error?.message, retryAt: row.retryAt });
  }

  /** Forgets the text of lower attempts. @param {number} attempt */
  begin(attempt) {
    this.place = { attempt, seq: 0 };
    this.text = "";
    this.isOver = false;
    this.#retryAt = 0;
    this.#note();
  }

  /** Notes that news are being asked for. */
  ask() {
    this.#askedAt = Date.now();
    this.#asked += 1;
  }

  /** Whether events should have come by now. @param {number} patience in ms, longer each time that was asked in vain */
  isSilent(patience) {
    const quietUntil = Math.min(this.#retryAt, this.#lastNews + MOST_QUIET);
    const since = Math.max(this.#lastNews, this.#askedAt, quietUntil);
    return Date.now() > since + patience * Math.min(LONGEST, GROWTH ** this.#asked);
  }

  #note() {
    this.#lastNews = Date.now();
    this.#asked = 0;
  }

  /** @param {JobEvent} event */
  #apply(event) {
    this.place.seq = event.seq;
    this.#note();
    this.gapAskedAt = 0;
    if (event.type === "job.delta") this.text += event.text ?? "";
    if (event.type === "job.retrying") this.#retryAt = Date.parse(event.retryAt ?? "") || 0;
    this.isOver = FINAL.has(event.type);
    if (this.isOver) this.text = event.answer ?? this.text;
    this.listener(event, this.text);
  }
}
