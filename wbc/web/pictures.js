/** Pictures of a cell: the model input, and the activation map as an overlay or alone. */

import { VIRIDIS } from "./colormap.js";

const SIDE = 224;

export class Pictures {
  #shown = null;
  #cell = null;
  #sources = {};

  constructor({ image, map }) {
    this.image = image;
    this.map = map;
    this.opacity = 0.6;
    this.raw = false;
    for (const canvas of [image, map]) Object.assign(canvas, { width: SIDE, height: SIDE });
    // The map is blended in memory at each step of the slider; this hint avoids transfers to the GPU.
    map.getContext("2d", { willReadFrequently: true });
  }

  /** Show a cell: its file until the server's pictures arrive. */
  async show(cell) {
    const key = cell ? `${cell.id}:${cell.status === "done"}` : null;
    if (this.#shown === key) return;
    this.#shown = key;
    if (this.#cell !== cell) this.#clear();
    this.#cell = cell;
    if (!cell) return;
    const sources = await this.#load(cell);
    if (this.#shown !== key) return;
    this.#sources = sources;
    this.#paintImage();
    this.paintMap();
  }

  async #load(cell) {
    const decode = (blob) => (blob ? createImageBitmap(blob).catch(() => null) : null);
    const { display, heatmap, overlay } = cell.blobs;
    const [image, heat, mixed] = await Promise.all([decode(display ?? cell.file), decode(heatmap), decode(overlay)]);
    return { image, heat: heat && levels(heat), mixed };
  }

  #clear() {
    this.#sources = {};
    for (const canvas of [this.image, this.map]) {
      canvas.getContext("2d").clearRect(0, 0, SIDE, SIDE);
      delete canvas.dataset.ready;
    }
  }

  #paintImage() {
    if (!this.#sources.image) return;
    drawFitted(this.image.getContext("2d"), this.#sources.image);
    this.image.dataset.ready = "true";
  }

  /** Draw the map over the image with opacity by its value; alone it is opaque. */
  paintMap() {
    const { image, heat, mixed } = this.#sources;
    const context = this.map.getContext("2d");
    context.clearRect(0, 0, SIDE, SIDE);
    if (!heat && !mixed) return;
    if (image && !(this.raw && heat)) drawFitted(context, image);
    if (heat) {
      blend(context, heat, this.raw ? null : this.opacity);
    } else {
      context.globalAlpha = this.raw ? 1 : this.opacity;
      context.drawImage(mixed, 0, 0, SIDE, SIDE);
      context.globalAlpha = 1;
    }
    this.map.dataset.ready = "true";
  }
}

/** Keep the aspect ratio, centred. */
function drawFitted(context, bitmap) {
  const scale = Math.min(SIDE / bitmap.width, SIDE / bitmap.height);
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  context.clearRect(0, 0, SIDE, SIDE);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
}

/** Grey levels of the raw map. */
function levels(bitmap) {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0, SIDE, SIDE);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  return Uint8Array.from({ length: SIDE * SIDE }, (_, index) => data[index * 4]);
}

function blend(context, heat, opacity) {
  const image = context.getImageData(0, 0, SIDE, SIDE);
  const { data } = image;
  for (let index = 0; index < heat.length; index += 1) {
    const level = heat[index];
    const share = opacity === null ? 1 : opacity * Math.min(1, level / 160);
    for (let channel = 0; channel < 3; channel += 1) {
      const at = index * 4 + channel;
      data[at] += (VIRIDIS[level * 3 + channel] - data[at]) * share;
    }
    if (opacity === null) data[index * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
