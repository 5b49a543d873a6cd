/** Viridis, a perceptually uniform colour map; nine of its 256 colours with linear interpolation. */

const ANCHORS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"];

/** 256 entries of red, green, blue. */
export const VIRIDIS = table();

function table() {
  const colours = ANCHORS.map((hex) => [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)));
  const lookup = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level += 1) {
    const position = (level / 255) * (colours.length - 1);
    const left = Math.min(Math.floor(position), colours.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [a, b] = [colours[left][channel], colours[left + 1][channel]];
      lookup[level * 3 + channel] = a + (b - a) * (position - left);
    }
  }
  return lookup;
}

/** Draw the scale from low to high, left to right. */
export function paintScale(canvas) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, 1);
  for (let x = 0; x < canvas.width; x += 1) {
    const level = Math.round((x / (canvas.width - 1)) * 255) * 3;
    image.data.set([VIRIDIS[level], VIRIDIS[level + 1], VIRIDIS[level + 2], 255], x * 4);
  }
  for (let y = 0; y < canvas.height; y += 1) context.putImageData(image, 0, y);
}
