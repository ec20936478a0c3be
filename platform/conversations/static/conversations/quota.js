// @ts-check
/** The rest of today's quota, below the text box. */
import { request } from "../jobs/http.js";

/** Loads and shows the quota; shows nothing without a limit. */
export async function showQuota() {
  const line = document.getElementById("quota");
  if (!line) return;
  try {
    const { left, renewedAt } = await request("GET", "/api/quota");
    line.hidden = left === null;
    if (left === null) return;
    line.textContent = `${percent(left)} of today's AI quota left`;
    line.title = `Renewed ${new Date(renewedAt).toLocaleString()}`;
    line.classList.toggle("is-low", left < 0.1);
  } catch {
    // The quota is optional; sending a question reports the error.
  }
}

/** Formats the share; never "0 %" while something is left. @param {number} share */
function percent(share) {
  return share > 0 && share < 0.01 ? "Under 1 %" : `${Math.floor(share * 100)} %`;
}
