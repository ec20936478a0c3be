// @ts-check
/** The learner's profile page: sends answers; shows, corrects and deletes the persona. */
import { JobsClient } from "../jobs/client.js";
import { request } from "../jobs/http.js";
import { Questionnaire } from "./questionnaire.js";
import { PersonaCard } from "./persona.js";

/** @typedef {import("../jobs/client.js").ApiError} ApiError */
/** @typedef {import("../jobs/client.js").JobEvent} JobEvent */

const root = /** @type {HTMLElement} */ (document.getElementById("learning-profile"));
const { apiUrl = "" } = root.dataset;
const problem = part("problem");
const status = part("status");
const card = new PersonaCard(part("persona"), { onCorrect: correct, onDelete: remove });
const form = root.querySelector("[data-part=questionnaire]");
const questionnaire = form ? new Questionnaire(/** @type {HTMLFormElement} */ (form), answer) : null;
/** @type {string} the job that this page follows */
let followed = "";
const client = new JobsClient({
  onConnection: (state) => say(state === "reconnecting" && followed ? "Connection lost. Reconnecting; nothing is lost." : waiting()),
  // Answered in another tab.
  onUnwatched: (event) => event.kind === "personas.profile" && event.type === "job.started" && load(),
});

load();

/** Loads and shows the profile, and follows its active job. */
async function load() {
  await attempt(async () => {
    const profile = await stored();
    card.show(profile);
    questionnaire?.fill(profile);
    if (profile?.activeJobId) follow(profile.activeJobId);
  });
}

/** @param {Record<string, string>} answers */
async function answer(answers) {
  questionnaire?.hold(true);
  await attempt(async () => {
    const job = await client.submit(apiUrl, { answers });
    follow(job.jobId);
  });
  if (!followed) questionnaire?.hold(false);
}

/** @param {string} jobId */
function follow(jobId) {
  if (followed === jobId) return;
  followed = jobId;
  questionnaire?.hold(true);
  say(waiting());
  client.watch(jobId, { onEvent: show });
}

/** @param {JobEvent} event */
async function show(event) {
  if (event.type === "job.retrying") return say(`${event.reason ?? ""} It is tried again soon.`);
  if (event.type !== "job.completed" && event.type !== "job.failed" && event.type !== "job.cancelled") return;
  followed = "";
  say("");
  questionnaire?.hold(false);
  if (event.type === "job.failed") return complain(event.error?.message ?? "");
  await load();
  if (event.type === "job.completed") card.focus();
}

/** @param {string} personaId */
async function correct(personaId) {
  await attempt(async () => {
    card.show(await request("PATCH", apiUrl, { payload: JSON.stringify({ personaId }) }));
    card.focus();
  });
}

async function remove() {
  await attempt(async () => {
    await request("DELETE", apiUrl);
    card.show(null);
    questionnaire?.empty();
    say("Deleted. Nothing is known about how you learn.");
  });
}

/** The stored profile; null when there is none. */
async function stored() {
  try {
    return await request("GET", apiUrl);
  } catch (error) {
    if (/** @type {ApiError} */ (error).status === 404) return null;
    throw error;
  }
}

/** @param {() => Promise<void>} work */
async function attempt(work) {
  complain("");
  try {
    await work();
  } catch (caught) {
    refused(/** @type {ApiError} */ (caught));
  }
}

/** @param {ApiError} error */
function refused(error) {
  // Answered in another tab: follow that job.
  if (error.status === 409 && error.details?.jobId) follow(error.details.jobId);
  else if (error.status === 400 && questionnaire?.mark(error.details?.answers)) complain("Some answers are missing.");
  else complain(error.status === 401 ? "You have been signed out. Sign in again to continue." : error.message);
}

function waiting() {
  return followed ? "Reading your answers…" : "";
}

/** @param {string} text */
function say(text) {
  status.textContent = text;
  status.hidden = !text;
}

/** @param {string} text */
function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

/** @param {string} name */
function part(name) {
  return /** @type {HTMLElement} */ (root.querySelector(`[data-part=${name}]`));
}
