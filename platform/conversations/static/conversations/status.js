// @ts-check
/** Status messages: for screen readers, about the connection, in the tab's title. */

/** @typedef {import("../jobs/client.js").Connection} Connection */

const RECONNECTING_DELAY_MS = 2_000;
/** @type {Record<Connection, string>} */
const WORDS = {
  connected: "",
  reconnecting: "Connection lost. Reconnecting; nothing is lost.",
  signedOut: "You have been signed out. Nothing is lost: sign in again to continue.",
};
const line = document.getElementById("connection");
const announcer = document.getElementById("announcer");
const title = document.title;
/** @type {Connection} */
let connection = "connected";
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Announces a text to screen readers. @param {string} text */
export function announce(text) {
  if (announcer) announcer.textContent = text;
}

/** Shows the connection state; a short interruption is not reported. @param {Connection} state */
export function showConnection(state) {
  if (state === connection) return;
  connection = state;
  clearTimeout(timer);
  timer = setTimeout(() => say(WORDS[state]), state === "reconnecting" ? RECONNECTING_DELAY_MS : 0);
}

/** Marks the tab's title if an answer is ready while the tab is hidden. */
export function tellWhenBack() {
  if (document.hidden) document.title = `Answer ready · ${title}`;
}

/** @param {string} text */
function say(text) {
  if (!line) return;
  line.textContent = text;
  line.hidden = !text;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) document.title = title;
});
