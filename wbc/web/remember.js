/** Browser storage: preferences permanently, the API key until the tab is closed. */

function guarded(storage) {
  // A browser with storage disabled throws; values are then not stored.
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
