/**
 * The five classes in the model's order, which is also the order of the keys 1 to 5.
 * `adultPercent` are the shares of `wbc/labels.py`; tests/browser compares the tables.
 */
export const CLASSES = [
  { name: "Basophil", mark: "BA", adultPercent: [0, 1] },
  { name: "Eosinophil", mark: "EO", adultPercent: [1, 4] },
  { name: "Lymphocyte", mark: "LY", adultPercent: [20, 40] },
  { name: "Monocyte", mark: "MO", adultPercent: [2, 8] },
  { name: "Neutrophil", mark: "NE", adultPercent: [40, 70] },
];

/** Decision of a reader for a cell outside the five classes. */
export const UNCLASSIFIABLE = "Unclassifiable";

export const markOf = (name) => CLASSES.find((entry) => entry.name === name)?.mark ?? "U";
