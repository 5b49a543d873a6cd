/** Dialogs for the API key and for starting a new session. */

import { apiKey } from "./api.js";
import { byId, setText } from "./dom.js";
import { t } from "./i18n.js";

export function bindDialogs({ giveKey, clear }) {
  const key = byId("key-dialog");
  const input = byId("key-input");
  byId("key-form").addEventListener("submit", (event) => {
    // Close before trying the key, so that the dialog can open again if it is refused.
    event.preventDefault();
    key.close();
    giveKey(input.value.trim());
  });
  byId("key-later").addEventListener("click", () => key.close());
  const clearing = byId("clear-dialog");
  byId("clear-no").addEventListener("click", () => clearing.close());
  byId("clear-yes").addEventListener("click", () => {
    clearing.close();
    clear();
  });
  return {
    askKey() {
      if (key.open) return;
      setText(byId("key-words"), t(apiKey.get() ? "key.refused" : "key.words"));
      input.value = "";
      key.showModal();
    },
    askClear(unsaved) {
      setText(byId("clear-words"), t(unsaved ? "session.clear_unsaved" : "session.clear_words"));
      clearing.showModal();
    },
  };
}
