// @ts-check
/**
 * Adds the site assistant to any page of this site with one tag:
 *
 *     <script type="module" src="/static/landing/widget.js"></script>
 *
 * It lives in a shadow root, so that its styles and the page's do not affect each other. Links to #ask and #contact on
 * the page open it. Everything except its button is loaded when it is first opened.
 */

/** @typedef {import("./widget/panel.js").Panel} Panel */

const OPEN = "landing:open";
const BUTTON = `
  <button type="button" class="opener" aria-haspopup="dialog" aria-expanded="false" aria-label="Ask us"
          data-testid="widget-open">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 5h16v11H9l-5 4z"/></svg><span>Ask us</span>
  </button>`;

const host = document.createElement("div");
const root = host.attachShadow({ mode: "open" });
const style = Object.assign(document.createElement("link"), {
  rel: "stylesheet",
  href: new URL("./widget.css", import.meta.url).href,
});
root.innerHTML = BUTTON;
root.prepend(style);
host.hidden = true;
style.addEventListener("load", () => (host.hidden = false)); // hidden until its styles are loaded, so that the page does not flash
document.body.append(host);

const button = /** @type {HTMLButtonElement} */ (root.querySelector(".opener"));
/** @type {Promise<Panel> | null} */
let panel = null;

button.addEventListener("click", () => open("ask"));
document.addEventListener("click", (event) => followLink(event));
if (remembered()) open("ask", { quietly: true });
if (location.hash === "#ask" || location.hash === "#contact") open(location.hash.slice(1));

/** @param {string} what "ask" or "contact" @param {{quietly?: boolean}} [how] quietly: do not move the focus */
async function open(what, { quietly = false } = {}) {
  panel ??= import("./widget/panel.js").then(({ Panel }) => new Panel(root, closed));
  try {
    (await panel).open(what, quietly);
  } catch (error) {
    panel = null; // the next click tries to load it again
    throw error;
  }
  button.hidden = true;
  button.setAttribute("aria-expanded", "true");
  remember("1");
}

function closed() {
  button.hidden = false;
  button.setAttribute("aria-expanded", "false");
  button.focus();
  remember("");
}

/** @param {MouseEvent} event */
function followLink(event) {
  const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
  if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.ctrlKey || event.metaKey) return;
  const href = link.getAttribute("href");
  // On a phone the panel covers the link's target.
  if (href !== "#ask" && href !== "#contact") return coversPage() && panel?.then((shown) => shown.close());
  event.preventDefault();
  open(href.slice(1));
}

function coversPage() {
  return root.querySelector(".panel:not([hidden])") !== null && matchMedia("(max-width: 30rem)").matches;
}

/** @param {string} value */
function remember(value) {
  try {
    sessionStorage.setItem(OPEN, value);
  } catch {
    // Storage is blocked: the panel is closed after a reload.
  }
}

function remembered() {
  try {
    return Boolean(sessionStorage.getItem(OPEN));
  } catch {
    return false;
  }
}
