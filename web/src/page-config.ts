/** How a configuration file asks for a page, in both programs. */

const text = { type: 'string', minLength: 1 };

/** Without the description, which is the program's. */
export const PAGE_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['listen'],
  properties: {
    listen: {
      type: 'string',
      pattern: '^([^:/\\s]+|\\[[0-9a-fA-F:.]+(%[0-9a-zA-Z]+)?\\]):[0-9]{1,5}$',
      description: 'address:port, an IPv6 address in brackets',
    },
    certificate: text,
    key: text,
  },
};

export interface PageConfig {
  readonly listen: string;
  /** PEM files. */
  readonly certificate?: string;
  readonly key?: string;
}

/** `at`: makes a path of the file absolute. */
export function resolvePage(page: PageConfig, at: (path: string) => string): PageConfig {
  return {
    listen: page.listen,
    ...(page.certificate === undefined ? {} : { certificate: at(page.certificate) }),
    ...(page.key === undefined ? {} : { key: at(page.key) }),
  };
}
