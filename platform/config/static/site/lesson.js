// @ts-check
/** Shows a lesson's Markdown and opens the section that the address names. */
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

/** The page shows the title already. */
function dropRepeatedTitle() {
  const first = body.firstElementChild;
  if (first?.tagName === "H1" && slugify(first.textContent ?? "") === slugify(title.textContent ?? "")) first.remove();
}

/** Ids are given here and not in the Markdown: the sanitizer drops ids like "links", which name parts of a document. */
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

/** Fills "On this page", where the lesson is long enough to need it. */
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

/** The browser looked for the section before it was there; a reader who follows a citation should see where it is. */
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
