// Standard normal numbers of a seed: the same as kgen.training.image_noise gives in Python.
//
// Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), then Box-Muller.

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];
const PARITY = 0x1bd11bda;

export function imageNoise(seed, index, length) {
  const pairs = Math.ceil(length / 32) * 16;
  const noise = new Float32Array(2 * pairs);
  for (let i = 0; i < pairs; i++) {
    // 24 bits a number, in (0, 1).
    const [first, second] = threefry(seed, index, i, 0).map((bits) => ((bits >>> 8) + 0.5) * 2 ** -24);
    const radius = Math.sqrt(-2 * Math.log(first));
    noise[i] = radius * Math.cos(2 * Math.PI * second);
    noise[pairs + i] = radius * Math.sin(2 * Math.PI * second);
  }
  return noise.slice(0, length);
}

function threefry(key0, key1, counter0, counter1) {
  const keys = [key0, key1, key0 ^ key1 ^ PARITY];
  let x = (counter0 + keys[0]) | 0;
  let y = (counter1 + keys[1]) | 0;
  for (let group = 0; group < 5; group++) {
    for (const distance of ROTATIONS[group % 2]) {
      x = (x + y) | 0;
      y = ((y << distance) | (y >>> (32 - distance))) ^ x;
    }
    x = (x + keys[(group + 1) % 3]) | 0;
    y = (y + keys[(group + 2) % 3] + group + 1) | 0;
  }
  return [x, y];
}
