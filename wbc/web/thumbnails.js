/** Thumbnails for the gallery, created from the files for visible tiles only. */

const SIDE = 112;
/** Decode at most two files at once to limit memory. */
const AT_A_TIME = 2;

export class Thumbnails {
  #waiting = [];
  #active = 0;
  #observer;

  constructor() {
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "300px" });
  }

  /** Draw a cell on a canvas once it is almost visible. */
  watch(canvas, cell) {
    canvas.width = SIDE;
    canvas.height = SIDE;
    canvas.cell = cell;
    this.#observer.observe(canvas);
  }

  forget(canvas) {
    this.#observer.unobserve(canvas);
  }

  #seen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      this.#observer.unobserve(target);
      this.#waiting.push(target);
    }
    this.#pump();
  }

  #pump() {
    while (this.#active < AT_A_TIME && this.#waiting.length) this.#draw(this.#waiting.shift());
  }

  async #draw(canvas) {
    this.#active += 1;
    const bitmap = await smallBitmap(canvas.cell);
    this.#active -= 1;
    if (bitmap) {
      canvas.getContext("2d").drawImage(bitmap, 0, 0, SIDE, SIDE);
      bitmap.close();
      canvas.dataset.ready = "true";
    } else if (canvas.isConnected && canvas.cell.status !== "done") {
      // A format that the browser does not support (TIFF); the server's picture is used later.
      canvas.dataset.later = "true";
    }
    this.#pump();
  }

  /** Try a canvas again when the server's picture has arrived. */
  answered(canvas) {
    if (!canvas.dataset.later) return;
    delete canvas.dataset.later;
    this.#observer.observe(canvas);
  }
}

/** Centre square of the image, scaled down while decoding. */
async function smallBitmap(cell) {
  for (const blob of [cell.file, cell.blobs.display]) {
    if (!blob) continue;
    try {
      return await cropped(await createImageBitmap(blob));
    } catch {
      continue;
    }
  }
  return null;
}

async function cropped(whole) {
  const side = Math.min(whole.width, whole.height);
  const small = await createImageBitmap(whole, (whole.width - side) / 2, (whole.height - side) / 2, side, side, {
    resizeWidth: SIDE,
    resizeHeight: SIDE,
    resizeQuality: "medium",
  });
  whole.close();
  return small;
}
