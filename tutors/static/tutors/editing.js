// @ts-check
/** The form to edit a draft. */
import { element } from "./parts.js";

/** @typedef {import("./content.js").QuizQuestion} QuizQuestion */

const MAX_REPLY_CHARS = 8000;
const MAX_LINE_CHARS = 1000;

/** @param {HTMLFormElement} form @param {{draftId: string, content: import("./content.js").Content}} draft @param {() => void} onCancel */
export function fillForm(form, { draftId, content }, onCancel) {
  const fields = content.kind === "reply" ? [area("Reply", "text", content.text, MAX_REPLY_CHARS)] : quiz(draftId, content);
  const cancel = element("button", { type: "button", className: "button button-quiet", textContent: "Cancel" });
  cancel.addEventListener("click", onCancel);
  const save = element("button", { type: "submit", className: "button", textContent: "Save" });
  form.replaceChildren(...fields, element("p", { className: "draft-buttons" }, save, cancel));
}

/** Returns the form's content in the API's format. @param {HTMLFormElement} form */
export function readForm(form) {
  const data = new FormData(form);
  if (data.has("text")) return { text: data.get("text") };
  const right = [.../** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll("[type=radio]"))];
  return {
    question: data.get("question"),
    options: data.getAll("option"),
    right: right.findIndex((radio) => radio.checked),
    explanation: data.get("explanation"),
  };
}

/** @param {string} draftId @param {QuizQuestion} content */
function quiz(draftId, { question, options, right, explanation }) {
  const lines = options.map((option, index) => {
    const name = `right-${draftId}`;
    const radio = element("input", { type: "radio", name, checked: index === right });
    radio.setAttribute("aria-label", `Option ${index + 1} is right`);
    const text = element("input", { name: "option", value: option, required: true, maxLength: MAX_LINE_CHARS });
    text.setAttribute("aria-label", `Option ${index + 1}`);
    return element("p", { className: "option-line" }, radio, text);
  });
  return [
    area("Question", "question", question, MAX_LINE_CHARS),
    element("fieldset", {}, element("legend", { textContent: "Options; mark the right one" }), ...lines),
    area("Explanation", "explanation", explanation, MAX_LINE_CHARS),
  ];
}

/** @param {string} label @param {string} name @param {string} value @param {number} maxLength */
function area(label, name, value, maxLength) {
  const rows = name === "text" ? 10 : 3;
  return element("label", {}, label, element("textarea", { name, value, maxLength, rows, required: true }));
}
