// @ts-check
/** Renders a lesson's Markdown and scrolls to the section in the URL. */
import { addCopyButtons } from "./copy.js";
import { createParser, slugify, toFragment } from "./markdown.js";

const title = /** @type {HTMLElement} */ (document.getElementById("lesson-title"));
const body = /** @type {HTMLElement} */ (document.getElementById("lesson"));
const text = JSON.parse(document.getElementById("lesson-body")?.textContent ?? '""');

body.replaceChildren(toFragment(/** @type {string} */ (createParser().parse(text))));
dropRepeatedTitle();
nameHeadings();
addCopyButtons(body);
listSections();
openSection();
addEventListener("hashchange", openSection);

/** Removes the first heading, because the page already shows the title. */
function dropRepeatedTitle() {
  const first = body.firstElementChild;
  if (first?.tagName === "H1" && slugify(first.textContent ?? "") === slugify(title.textContent ?? "")) first.remove();
}

/** Sets heading ids. The sanitizer would drop ids such as "links", which are properties of `document`. */
function nameHeadings() {
  /** @type {Map<string, number>} */
  const seen = new Map();
  for (const heading of [title, ...body.querySelectorAll("h1, h2, h3, h4, h5, h6")]) {
    const slug = slugify(heading.textContent ?? "");
    const times = (seen.get(slug) ?? 0) + 1;
    seen.set(slug, times);
    heading.id = times === 1 ? slug : `${slug}-${times}`;
  }
}

/** Fills "On this page" if the lesson has enough sections. */
function listSections() {
  const sections = [...body.querySelectorAll("h2")];
  const contents = document.getElementById("contents");
  if (!contents || sections.length < 2) return;
  contents.querySelector("ul")?.append(...sections.map(sectionLink));
  contents.hidden = false;
}

/** @param {Element} heading */
function sectionLink(heading) {
  const link = document.createElement("a");
  link.href = `#${heading.id}`;
  link.textContent = heading.textContent;
  const item = document.createElement("li");
  item.append(link);
  return item;
}

/** Scrolls to the section of the URL again, because the browser looked for it before it was rendered. */
function openSection() {
  body.querySelector(".is-cited")?.classList.remove("is-cited");
  const section = document.getElementById(decodeHash());
  if (!section || (section !== title && !body.contains(section))) return;
  section.tabIndex = -1;
  section.focus({ preventScroll: true });
  section.scrollIntoView();
  if (section !== title) section.classList.add("is-cited");
}

function decodeHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}
