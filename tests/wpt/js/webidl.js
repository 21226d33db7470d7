// Loaded after webidl2.js. The parser looks for each token with a sticky regular expression over the whole text, which
// costs time in proportion to the text in an engine that prepares a string anew for each match. One definition at a
// time is the same work without the square. Definitions know nothing of each other in this grammar.
((g) => {
  const { parse } = g.WebIDL2;
  g.WebIDL2 = {
    ...g.WebIDL2,
    parse: (text, options) => text.split(/(?<=^\};)/m).flatMap((part) => parse(part, options)),
  };
})(globalThis);
