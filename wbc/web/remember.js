/** What the browser keeps: preferences for good, the API key for as long as the tab lives. */

function guarded(storage) {
  // A browser set to refuse storage throws on the first touch; the page then simply forgets.
  return {
    get(name) {
      try {
        return storage().getItem(`wbc.${name}`);
      } catch {
        return null;
      }
    },
    set(name, value) {
      try {
        storage().setItem(`wbc.${name}`, value);
      } catch {
        return;
      }
    },
  };
}

export const preferences = guarded(() => window.localStorage);
export const tabSecrets = guarded(() => window.sessionStorage);
