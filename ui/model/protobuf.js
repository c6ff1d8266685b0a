// Reading protobuf messages in place: a cursor over bytes, no objects for what nobody asks for.

const utf8 = new TextDecoder();

// Field types of the wire format.
export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

// A position in a buffer. Each `next()` moves to a field and sets `field`, `type` and, for BYTES, `from` and `to`.
export class Cursor {
  constructor(bytes, from = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.field = 0;
    this.type = 0;
    this.to = 0;
    this.within(from, end);
  }

  // Moves to another part of the same buffer, so that one cursor can serve many messages.
  within(from, end) {
    this.from = from;
    this.at = from;
    this.end = end;
    return this;
  }

  next() {
    if (this.at >= this.end) return false;
    const tag = this.varint();
    this.field = tag >>> 3;
    this.type = tag & 7;
    this.from = this.at;
    if (this.type === BYTES) {
      const length = this.varint();
      this.from = this.at;
      this.at += length;
    } else if (this.type === VARINT) {
      this.skipVarint();
    } else {
      this.at += this.type === FIXED64 ? 8 : 4;
      if (this.type !== FIXED64 && this.type !== FIXED32) throw new Error(`wire type ${this.type} is not in use`);
    }
    if (this.at > this.end) throw new Error("a field is cut off");
    this.to = this.at;
    return true;
  }

  varint() {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("a number is cut off");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  }

  skipVarint() {
    while (this.bytes[this.at++] >= 128);
  }

  // The number in a VARINT field; exact up to 2^53, which is enough for enums and lengths.
  number() {
    const end = this.at;
    this.at = this.from;
    const value = this.varint();
    this.at = end;
    return value;
  }

  // A 64-bit signed VARINT.
  int64() {
    let value = 0n;
    for (let at = this.from, shift = 0n; at < this.to; at++, shift += 7n) value |= BigInt(this.bytes[at] & 127) << shift;
    return BigInt.asIntN(64, value);
  }

  fixed64() {
    return this.view.getBigUint64(this.from, true);
  }

  double() {
    return this.view.getFloat64(this.from, true);
  }

  text() {
    return utf8.decode(this.bytes.subarray(this.from, this.to));
  }

  hex() {
    return hexOf(this.bytes, this.from, this.to);
  }
}

export function hexOf(bytes, from, to) {
  let text = "";
  for (let at = from; at < to; at++) text += bytes[at].toString(16).padStart(2, "0");
  return text;
}
