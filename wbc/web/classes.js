/**
 * The five classes in the model's order, which is also the order of the keys 1 to 5.
 * `adultPercent` are the shares of `wbc/labels.py`; tests/browser holds this table against it.
 */
export const CLASSES = [
  { name: "Basophil", mark: "BA", adultPercent: [0, 1] },
  { name: "Eosinophil", mark: "EO", adultPercent: [1, 4] },
  { name: "Lymphocyte", mark: "LY", adultPercent: [20, 40] },
  { name: "Monocyte", mark: "MO", adultPercent: [2, 8] },
  { name: "Neutrophil", mark: "NE", adultPercent: [40, 70] },
];

/** What a reader may say of a cell that is none of the five. */
export const UNCLASSIFIABLE = "Unclassifiable";

export const markOf = (name) => CLASSES.find((entry) => entry.name === name)?.mark ?? "U";
