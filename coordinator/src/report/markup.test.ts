import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeText, markup } from './markup.ts';
import { assertWellFormed } from './testing.ts';

test('values are escaped, markup is not, arrays are joined, null is nothing', () => {
  const item = (text: string): ReturnType<typeof markup> => markup`<li>${text}</li>`;
  const made = markup`<ul title="${'"&'}">${['<a>', 'b'].map(item)}${null}${3}</ul>`;
  assert.equal(made.text, '<ul title="&quot;&amp;"><li>&lt;a&gt;</li><li>b</li>3</ul>');
});

test('characters that XML forbids become the replacement character', () => {
  assert.equal(escapeText('a\u0000b\ud800c\u001fd\ufffee\tf'), 'a\ufffdb\ufffdc\ufffdd\ufffde\tf');
});

test('any text is well formed as content and as an attribute', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assertWellFormed(markup`<p title="${text}">${text}</p>`.text);
    }),
    { seed: 1 },
  );
});

test('the check itself refuses what is not well formed', () => {
  for (const bad of [
    '<p>',
    '<p></q>',
    '<p a=b></p>',
    '<p a="1" a="2"></p>',
    '<p>&nbsp;</p>',
    '<p>a<b</p>',
    'a & b',
  ]) {
    assert.throws(() => assertWellFormed(bad), bad);
  }
});
