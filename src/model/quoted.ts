/**
 * Text of others for a prompt, as `<content>…</content>` for the tag `content`. The text can neither
 * end these tags nor pass for a `<system-reminder>`, by which the CLI itself speaks to the model.
 */
export function quoted(tag: string, text: string): string {
  // Blanks after a slash only where there is one: else they could be shared out in as many ways as there are.
  const tags = new RegExp(`<(?=\\s*(?:/\\s*)?(?:${tag}|system-reminder)\\b)`, 'gi');
  return `<${tag}>\n${text.replace(tags, '&lt;')}\n</${tag}>`;
}
