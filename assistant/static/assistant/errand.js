// @ts-check
/**
 * A question that the lesson page hands to the chat page. It goes through sessionStorage and not through the address:
 * otherwise any site could have questions asked in the learner's name by a link.
 */

const KEY = "assistant:errand";

/** @param {string} lessonId @param {string} question */
export function leaveErrand(lessonId, question) {
  sessionStorage.setItem(KEY, JSON.stringify({ lessonId, question }));
}

/** The question that was left for this lesson, once. @param {string} lessonId @returns {string} "" for none */
export function takeErrand(lessonId) {
  try {
    const left = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    sessionStorage.removeItem(KEY);
    return lessonId && left.lessonId === lessonId ? left.question : "";
  } catch {
    return "";
  }
}
