/** Small pictures for the gallery, made from the files themselves, and only for tiles that come into view. */

const SIDE = 112;
/** Decoding a 40-megapixel photograph takes memory; two at a time keep it bounded. */
const AT_A_TIME = 2;

export class Thumbnails {
  #waiting = [];
  #active = 0;
  #observer;

  constructor() {
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: "300px" });
  }

  /** Draw `cell` on `canvas` once it is near the view. */
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
      // A format the browser cannot show (TIFF): the server's picture will do when it is here.
      canvas.dataset.later = "true";
    }
    this.#pump();
  }

  /** The server's picture has come: a canvas that could not be drawn before gets another chance. */
  answered(canvas) {
    if (!canvas.dataset.later) return;
    delete canvas.dataset.later;
    this.#observer.observe(canvas);
  }
}

/** The middle square of the image, scaled down while decoding. */
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
