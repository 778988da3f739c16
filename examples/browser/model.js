// An exported text-to-image model: words and a seed to the pixels of an image.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { imageNoise } from "./noise.js";
import { Tokenizer } from "./tokenizer.js";

// Threads need headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;

export class TextToImage {
  static async from(address, tokenizerAddress) {
    const model = new TextToImage();
    [model.tokenizer, model.session] = await Promise.all([
      Tokenizer.from(tokenizerAddress),
      ort.InferenceSession.create(address, { executionProviders: ["wasm"] }),
    ]);
    const latents = model.session.inputMetadata.find((each) => each.name === "latents");
    model.latentDim = latents.shape[1];
    return model;
  }

  // ImageData of what the words say.
  async generate(prompt, seed = 0) {
    const { token_ids, padding_mask } = this.tokenizer.encode(prompt);
    const row = (type, values) => new ort.Tensor(type, values, [1, values.length]);
    const { images } = await this.session.run({
      token_ids: row("int32", Int32Array.from(token_ids)),
      padding_mask: row("int32", Int32Array.from(padding_mask)),
      latents: row("float32", imageNoise(seed, 0, this.latentDim)),
    });
    const [, height, width] = images.dims;
    const drawn = new ImageData(width, height);
    drawn.data.fill(255);
    for (let i = 0; i < width * height; i++) {
      for (let channel = 0; channel < 3; channel++) drawn.data[4 * i + channel] = images.data[3 * i + channel];
    }
    return drawn;
  }
}
