// The regions as pictures: one canvas for each painting, white whose opacity is the painting's share of a place.
// Whatever is given to one painting is taken from the others, so that the shares of a place add up as before.

const SIDE = 768; // longest side of a region in pixels

export class Masks {
  constructor(width, height, count) {
    const scale = SIDE / Math.max(width, height);
    this.width = Math.max(16, Math.round(width * scale));
    this.height = Math.max(16, Math.round(height * scale));
    this.layers = Array.from({ length: count }, () => this.blank());
    if (count > 1) fill(this.layers[0]); // at first the first painting goes everywhere
  }

  blank() {
    const canvas = document.createElement("canvas");
    canvas.width = this.width;
    canvas.height = this.height;
    canvas.getContext("2d", { willReadFrequently: true });
    return canvas;
  }

  /** Give what a stamp covers to a painting; to none with -1: there the photograph stays. */
  give(target, stamp) {
    this.layers.forEach((layer, number) => draw(layer, stamp, number === target ? "source-over" : "destination-out"));
  }

  /** Take what a stamp covers from a painting, and give it to the first one, or from that to none. */
  take(target, stamp) {
    if (target > 0) {
      const part = this.blank();
      draw(part, this.layers[target], "source-over");
      draw(part, stamp, "destination-in");
      draw(this.layers[0], part, "lighter");
    }
    if (target >= 0) draw(this.layers[target], stamp, "destination-out");
  }

  /** Make a picture, whose opacity counts, the region of a painting. */
  replace(target, picture) {
    const stamp = this.blank();
    draw(stamp, picture, "copy");
    const rest = this.blank();
    fill(rest);
    draw(rest, stamp, "destination-out");
    this.take(target, rest);
    this.give(target, stamp);
  }

  fill(target) {
    const all = this.blank();
    fill(all);
    this.give(target, all);
  }

  invert(target) {
    const old = this.blank();
    draw(old, this.layers[target], "copy");
    const rest = this.blank();
    fill(rest);
    draw(rest, old, "destination-out");
    this.layers.forEach((layer) => layer.getContext("2d").clearRect(0, 0, this.width, this.height));
    draw(this.layers[target], rest, "source-over");
    if (this.layers.length > 1) draw(this.layers[target === 0 ? 1 : 0], old, "source-over");
  }

  /** A region as the bytes of a grey PNG. */
  bytes(number) {
    const canvas = this.blank();
    const pen = canvas.getContext("2d");
    pen.fillRect(0, 0, this.width, this.height);
    pen.drawImage(this.layers[number], 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /** Whether a region has anything in it. */
  isEmpty(number) {
    const data = this.layers[number].getContext("2d").getImageData(0, 0, this.width, this.height).data;
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
    return true;
  }
}

/** A grey picture as white whose opacity is its lightness, changed by a function. */
export function opacityOf(image, width, height, change = (light) => light) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0, width, height);
  const picture = pen.getImageData(0, 0, width, height);
  const { data } = picture;
  for (let at = 0; at < data.length; at += 4) {
    const light = (0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2]) / 255;
    data[at + 3] = Math.round(255 * change(light));
    data[at] = data[at + 1] = data[at + 2] = 255;
  }
  pen.putImageData(picture, 0, 0);
  return canvas;
}

function draw(canvas, picture, how) {
  const pen = canvas.getContext("2d");
  pen.globalCompositeOperation = how;
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  pen.globalCompositeOperation = "source-over";
}

function fill(canvas) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}
