"use strict";

const FADE = 0.008; // seconds

// Plays several versions of one clip at once and lets one of them be heard: all run sample by sample together, so that
// switching never moves the place in the sound. Times are in seconds.
class Player {
  constructor(onChange) {
    this.onChange = onChange;
    this.context = null;
    this.buffers = [];
    this.sources = [];
    this.gains = [];
    this.audible = 0;
    this.playing = false;
    this.looping = true;
    this.region = [0, 0];
    this.offset = 0; // where playing began, or where it will begin
    this.began = 0; // the context's time then
  }

  get duration() {
    return this.buffers.length ? this.buffers[0].duration : 0;
  }

  async load(files) {
    this.pause();
    this.context ??= new AudioContext();
    this.buffers = await Promise.all(files.map((file) => this.context.decodeAudioData(bytesOf(file))));
    this.region = [0, this.duration];
    this.offset = 0;
    this.audible = 0;
  }

  play() {
    if (this.playing || !this.buffers.length) return;
    this.context.resume();
    const [start, end] = this.region;
    if (this.offset < start || this.offset >= end - 0.005) this.offset = start;
    this.began = this.context.currentTime + 0.03; // one moment ahead, the same for all
    this.gains = this.buffers.map((_, i) => {
      const gain = this.context.createGain();
      gain.gain.setValueAtTime(0, this.began);
      gain.gain.linearRampToValueAtTime(i === this.audible ? 1 : 0, this.began + FADE);
      gain.connect(this.context.destination);
      return gain;
    });
    this.sources = this.buffers.map((buffer, i) => {
      const source = this.context.createBufferSource();
      source.buffer = buffer;
      source.loop = this.looping;
      source.loopStart = start;
      source.loopEnd = end;
      source.connect(this.gains[i]);
      if (this.looping) source.start(this.began, this.offset);
      else source.start(this.began, this.offset, end - this.offset);
      return source;
    });
    const first = this.sources[0];
    first.onended = () => {
      if (this.sources[0] === first && this.playing) this.stop(start);
    };
    this.playing = true;
    this.onChange();
  }

  pause() {
    if (this.playing) this.stop(this.position());
  }

  stop(offset) {
    this.offset = offset;
    this.playing = false;
    this.fade(-1);
    for (const source of this.sources) source.stop(this.context.currentTime + 2 * FADE);
    this.sources = [];
    this.gains = [];
    this.onChange();
  }

  hear(index) {
    this.audible = index;
    this.fade(index);
    this.onChange();
  }

  // Brings one version up and all others down, without a click and without a gap.
  fade(index) {
    const now = this.context?.currentTime;
    this.gains.forEach(({ gain }, i) => {
      gain.cancelScheduledValues(now);
      gain.setValueAtTime(gain.value, now);
      gain.linearRampToValueAtTime(i === index ? 1 : 0, now + FADE);
    });
  }

  position() {
    if (!this.playing) return this.offset;
    const [start, end] = this.region;
    const at = this.offset + Math.max(0, this.context.currentTime - this.began);
    return at < end ? at : this.looping ? start + ((at - start) % (end - start)) : end;
  }

  seek(to) {
    this.again(() => { this.offset = Math.min(Math.max(to, this.region[0]), this.region[1]); });
  }

  setRegion(start, end) {
    this.again(() => { this.region = [Math.max(0, start), Math.min(this.duration, end)]; });
  }

  setLooping(on) {
    this.again(() => { this.looping = on; });
  }

  again(change) {
    const was = this.playing;
    this.pause();
    change();
    if (was) this.play();
    else this.onChange();
  }
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer;
}
